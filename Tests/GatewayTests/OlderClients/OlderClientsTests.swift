import Crypto
import HTTPTransport
import HTTPWire
import Legacy
import Reactor
import Telemetry
import TestSupport
import Testing

@testable import Gateway

/// The part of a gateway that serves clients of older revisions.
private final class Stage {
    let older: OlderClients
    let known = OlderSessions()
    let affinity: SessionAffinity
    let siblings: [ScriptedSibling]
    private let front: Front
    let sessions: SessionPool
    private let callers: CallerRules
    private let loop: Loop

    init(
        on loop: Loop, _ backend: Backend, loops: Int = 1, requestTimeout: Duration = .seconds(20)
    ) throws {
        self.loop = loop
        let settings = GatewaySettings.test(era: .legacy, requestTimeout: requestTimeout)
        let backends = Backends([backend])
        sessions = SessionPool.test(backends)
        let key = HashKey()
        affinity = SessionAffinity(key: key)
        siblings = (0..<loops).map { _ in ScriptedSibling(on: loop, respond: { $0.respond(#"{"there":1}"#) }) }
        let replicas = Replicas(.test(""), index: 0, on: loop, seal: PeerServiceStage.seal, log: .silent)
        replicas.connectLoops(siblings)
        callers = CallerRules(settings.callerFields, key: key)
        let forwarder = Forwarder(
            settings: settings, admission: AdmissionRules(settings: settings), backends: backends,
            sessions: sessions, known: KnownEras(), affinity: affinity,
            paths: AuthorizationPaths(), log: .silent)
        older = OlderClients(
            settings: settings, sessions: sessions, callers: callers, forwarder: forwarder, known: known,
            replicas: replicas, affinity: affinity, log: .silent)
        front = try Front(on: loop, in: RequestBook(tally: RequestTally(), log: .silent))
    }

    /// Has a request served on a connection of its own.
    func send(_ text: String, isHandedOver: Bool = false) async throws -> Peer {
        let (client, responder) = try await front.connect()
        client.write(text)
        guard let (source, clientRequest) = await front.nextRequest(on: responder) else { throw NoHead() }
        let caller = callers.identifyCaller(
            of: source.head, subject: nil,
            client: isHandedOver ? PeerAddress.readAddress(source.head) : clientRequest.connection.clientAddress)
        loop.spawn { [older] in
            if isHandedOver {
                await older.serveHandedOver(source, from: caller, clientRequest)
            } else {
                await older.serveOlderClient(source, from: caller, clientRequest)
            }
        }
        return client
    }

    func response(to text: String, isHandedOver: Bool = false) async throws -> String {
        let client = try await send(text, isHandedOver: isHandedOver)
        try await client.until("the response") { $0.isWholeResponse }
        return client.text
    }

    func status(of text: String, isHandedOver: Bool = false) async throws -> Int {
        Int(try await response(to: text, isHandedOver: isHandedOver).dropFirst("HTTP/1.1 ".count).prefix(3)) ?? 0
    }

    static func post(_ body: String, session: String? = nil, as token: String = "A", fields: String = "") -> String {
        "POST /mcp HTTP/1.1\r\nHost: h\r\nAuthorization: \(token)\r\nContent-Type: application/json\r\n\(fields)"
            + (session.map { "Mcp-Session-Id: \($0)\r\n" } ?? "")
            + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
    }

    static func bodiless(_ method: String, session: String?, as token: String = "A") -> String {
        "\(method) /mcp HTTP/1.1\r\nHost: h\r\nAuthorization: \(token)\r\n"
            + (session.map { "Mcp-Session-Id: \($0)\r\n" } ?? "") + "\r\n"
    }

    static let initialize =
        #"{"jsonrpc":"2.0","id":"i","method":"initialize","params":{"protocolVersion":"2025-03-26","capabilities":{},"#
        + #""clientInfo":{"name":"c","version":"1"}}}"#

    /// Opens a session, and returns its id.
    func open() async throws -> String {
        let text = try await response(to: Stage.post(Stage.initialize))
        guard text.contains(#""id":"i""#), let start = text.lowercased().firstRange(of: "mcp-session-id: ") else {
            throw TimedOutOpening(text: text)
        }
        let offset = text.lowercased().distance(from: text.lowercased().startIndex, to: start.upperBound)
        return String(text.dropFirst(offset).prefix { $0 != "\r\n" })
    }

    struct TimedOutOpening: Error { let text: String }
}

@Suite(.timeLimit(.minutes(5))) struct OlderClientsTests {
    private static func request(_ id: Int, _ method: String = "tools/list") -> String {
        #"{"jsonrpc":"2.0","id":\#(id),"method":"\#(method)"}"#
    }

    // MARK: Before a server over Streamable HTTP

    @Test func allIsForwardedToAServerWithSessionsOfItsOwn() async throws {
        try await withLoop { loop in
            let server = try ScriptedServer(
                on: loop, respond: { $0.respond(#"{"ok":1}"#, fields: "Mcp-Session-Id: s1\r\n") })
            let stage = try Stage(on: loop, .test(server, on: loop))
            let texts = [
                Stage.post(Stage.initialize), Stage.post(Self.request(1), session: "s1"),
                Stage.bodiless("GET", session: nil), Stage.bodiless("DELETE", session: "s1"),
            ]
            for text in texts { #expect(try await stage.response(to: text).hasSuffix(#"{"ok":1}"#)) }
            #expect(server.requests.map(\.startLine) == ["POST", "POST", "GET", "DELETE"].map { "\($0) /up HTTP/1.1" })
        }
    }

    @Test func aSessionOfAnotherLoopIsServedThere() async throws {
        try await withLoop { loop in
            let server = try ScriptedServer(on: loop)
            let stage = try Stage(on: loop, .test(server, on: loop), loops: 3)
            stage.affinity.setLoop(of: Array("x".utf8), to: 2)
            #expect(try await stage.response(to: Stage.post(Self.request(1), session: "x")).hasSuffix(#"{"there":1}"#))
            #expect(stage.siblings[2].inbox.requests.map(\.startLine) == ["POST /session HTTP/1.1"])
            #expect(server.requests.isEmpty)
            stage.affinity.setLoop(of: Array("y".utf8), to: 9)
            let lost = try await stage.response(to: Stage.post(Self.request(7), session: "y"))
            #expect(lost.hasPrefix("HTTP/1.1 503 ") && lost.contains(#""id":7"#))
            #expect(try await stage.status(of: Stage.bodiless("GET", session: "y")) == 503)
            // What another loop brings is of a session here, or of none.
            #expect(try await stage.status(of: Stage.post(Self.request(1), session: "z"), isHandedOver: true) == 404)
        }
    }

    @Test func aServerOfWhichNothingIsKnownIsTriedTheNewerWayFirst() async throws {
        try await withLoop { loop in
            let server = try ScriptedServer(on: loop) { request in
                if request.startLine.hasPrefix("GET ") { return request.respond(status: "404 Not Found") }
                request.respond("no", status: "405 Method Not Allowed")
            }
            let stage = try Stage(on: loop, .test(server, transport: nil, on: loop))
            // Neither way leads to a session: the first one's response is the client's.
            let response = try await stage.response(to: Stage.post(Stage.initialize))
            #expect(response.hasPrefix("HTTP/1.1 405 "), "\(response)")
            #expect(server.requests.map { $0.startLine.prefix(4) } == ["POST", "GET ", "POST"])
            // What a client may ask for does not put the server aside.
            #expect(stage.sessions.backends.counts.allSatisfy { !$0.isAside && $0.load == 0 })
            #expect(try await stage.status(of: Stage.post(Self.request(1), session: "old")) == 404)
        }
    }

    // MARK: Before a server over HTTP+SSE

    /// A server that answers each request with its own text.
    private static func server(on loop: Loop) throws -> ScriptedEventStreamServer {
        try ScriptedEventStreamServer(on: loop) { body, stream in
            if body.contains("silent") || !body.contains(#""method""#) { return }
            let result =
                body.contains("initialize")
                ? #"{"protocolVersion":"2025-03-26","capabilities":{},"serverInfo":{"name":"s","version":"1"}}"#
                : #"{"tools":[]}"#
            for start in body.ranges(of: #""id":"#) {
                let id = body[start.upperBound...].prefix { $0 != "," }
                ScriptedEventStreamServer.send(#"{"jsonrpc":"2.0","id":\#(id),"result":\#(result)}"#, on: stream)
            }
        }
    }

    @Test func aSessionIsAStreamOfItsOwn() async throws {
        try await withLoop { loop in
            let server = try Self.server(on: loop)
            let stage = try Stage(on: loop, .test(server.server, transport: .sse, on: loop))
            let session = try await stage.open()
            #expect(session.utf8.count >= 32 && stage.affinity.loopIndex(of: Array(session.utf8)) == 0)
            #expect(try await stage.response(to: Stage.post(Self.request(5), session: session)).contains(#""id":5"#))
            let notification = #"{"jsonrpc":"2.0","method":"notifications/initialized"}"#
            #expect(try await stage.status(of: Stage.post(notification, session: session)) == 202)
            let both = "[\(Self.request(8)),\(Self.request(9))]"
            let batch = try await stage.response(to: Stage.post(both, session: session))
            #expect(batch.contains(#""id":8"#) && batch.contains(#""id":9"#))
            #expect(
                try await stage.response(
                    to: Stage.post(Self.request(6), session: session), isHandedOver: true
                ).contains(#""id":6"#))
            let other = try await stage.open()
            #expect(other != session && server.streams.count == 2)
            #expect(try await stage.status(of: Stage.bodiless("DELETE", session: session)) == 200)
            #expect(try await stage.status(of: Stage.post(Self.request(7), session: session)) == 404)
            #expect(stage.affinity.loopIndex(of: Array(session.utf8)) == nil)
            try await server.streams[0].until("the end of the stream") { $0.hasEnded }
            await stage.known.waitForEnds(until: loop.now + .seconds(5), on: loop)
        }
    }

    @Test func aSessionIsThatOfItsCaller() async throws {
        try await withLoop { loop in
            let server = try Self.server(on: loop)
            let stage = try Stage(on: loop, .test(server.server, transport: .sse, on: loop))
            let session = try await stage.open()
            for text in [
                Stage.post(Self.request(5), session: session, as: "B"),
                Stage.bodiless("GET", session: session, as: "B"),
                Stage.bodiless("DELETE", session: session, as: "B"), Stage.post(Self.request(5), session: "none"),
            ] {
                #expect(try await stage.status(of: text) == 404)
            }
            #expect(try await stage.status(of: Stage.post(Self.request(5))) == 400)
            #expect(try await stage.status(of: Stage.post("[1]", session: session)) == 400)
            #expect(try await stage.status(of: Stage.post("{", session: session)) == 400)
            #expect(try await stage.status(of: Stage.post(Self.request(5), session: session)) == 200)
        }
    }

    @Test func messagesOfTheServerGoToTheStreamOfTheClient() async throws {
        try await withLoop { loop in
            let server = try Self.server(on: loop)
            let stage = try Stage(on: loop, .test(server.server, transport: .sse, on: loop))
            let session = try await stage.open()
            let log = #"{"jsonrpc":"2.0","method":"notifications/message","params":{"data":1}}"#
            // Kept until the client listens.
            ScriptedEventStreamServer.send(log, on: server.streams[0])
            let listener = try await stage.send(Stage.bodiless("GET", session: session))
            try await listener.until("the message") { $0.text.contains(log) }
            ScriptedEventStreamServer.send(#"{"jsonrpc":"2.0","id":9,"method":"ping"}"#, on: server.streams[0])
            try await listener.until("the request") { $0.text.contains(#""method":"ping""#) }
            #expect(
                try await stage.status(of: Stage.post(#"{"jsonrpc":"2.0","id":9,"result":{}}"#, session: session))
                    == 202)
            _ = try await server.server.inbox.requests("answer") { $0.body.contains(#""id":9,"result""#) }
            stage.older.drainStreams()
            try await listener.until("the end") { $0.text.hasSuffix("0\r\n\r\n") }
            // The session goes on, and streams end as soon as they are there.
            let late = try await stage.send(Stage.bodiless("GET", session: session))
            try await late.until("the end") { $0.text.hasSuffix("0\r\n\r\n") }
            #expect(try await stage.status(of: Stage.post(Self.request(5), session: session)) == 200)
        }
    }

    @Test func aRequestEndsWithItsClientItsIDAndItsSession() async throws {
        try await withLoop { loop in
            let server = try Self.server(on: loop)
            let stage = try Stage(on: loop, .test(server.server, transport: .sse, on: loop))
            let session = try await stage.open()
            let waiting = try await stage.send(Stage.post(Self.request(1, "silent"), session: session))
            _ = try await server.server.inbox.requests("silent") { $0.body.contains("silent") }
            #expect(try await stage.status(of: Stage.post(Self.request(1, "silent"), session: session)) == 400)
            // The server ends the session, and with it what it has not answered.
            server.streams[0].socket.close()
            try await waiting.until("an error") { $0.text.contains(#""id":1"#) && $0.text.contains(#""error""#) }
            #expect(try await stage.status(of: Stage.post(Self.request(2), session: session)) == 404)
            let next = try await stage.open()
            let leaving = try await stage.send(Stage.post(Self.request(3, "silent"), session: next))
            _ = try await server.server.inbox.requests("silent", count: 2) { $0.body.contains("silent") }
            leaving.socket.close()
            await pause(.milliseconds(20), on: loop)
            #expect(try await stage.status(of: Stage.post(Self.request(4), session: next)) == 200)
        }
    }

    @Test func aSilentServerIsToldThatItsRequestIsCancelled() async throws {
        try await withLoop { loop in
            let server = try Self.server(on: loop)
            let stage = try Stage(
                on: loop, .test(server.server, transport: .sse, on: loop), requestTimeout: .milliseconds(300))
            let session = try await stage.open()
            let response = try await stage.response(to: Stage.post(Self.request(3, "silent"), session: session))
            #expect(response.contains(#""id":3"#) && response.contains("request_timeout"))
            let told = try await server.server.inbox.requests("cancellation") {
                $0.body.contains("notifications/cancelled")
            }
            #expect(told.first?.body.contains(#""requestId":3"#) == true)
        }
    }

    @Test func whatTheServerAsksWithoutAListenerHasALimit() async throws {
        try await withLoop { loop in
            let server = try Self.server(on: loop)
            let stage = try Stage(on: loop, .test(server.server, transport: .sse, on: loop))
            let session = try await stage.open()
            let long = String(repeating: "x", count: 30_000)
            for id in 0..<4 {
                ScriptedEventStreamServer.send(
                    #"{"jsonrpc":"2.0","id":"q\#(id)","method":"roots/list","params":{"x":"\#(long)"}}"#,
                    on: server.streams[0])
            }
            let refused = try await server.server.inbox.requests("refusals", count: 2) { $0.body.contains("-32603") }
            #expect(refused.allSatisfy { $0.body.contains("The client does not listen") })
            let listener = try await stage.send(Stage.bodiless("GET", session: session))
            try await listener.until("what was kept") { $0.bytes.count > 60_000 }
            #expect(listener.text.ranges(of: "roots/list").count == 2)
        }
    }

    @Test func aServerThatTakesNoMessageFailsTheRequest() async throws {
        try await withLoop { loop in
            let server = try Self.server(on: loop)
            let stage = try Stage(on: loop, .test(server.server, transport: .sse, on: loop))
            let session = try await stage.open()
            server.server.inbox.respond = { $0.respond("no", status: "400 Bad Request") }
            let response = try await stage.response(to: Stage.post(Self.request(4), session: session))
            #expect(response.contains(#""id":4"#) && response.contains(#""error""#))
            let notification = #"{"jsonrpc":"2.0","method":"notifications/x"}"#
            #expect(try await stage.status(of: Stage.post(notification, session: session)) >= 400)
        }
    }

    @Test func anInitializeThatFailsOpensNoSession() async throws {
        try await withLoop { loop in
            let server = try ScriptedEventStreamServer(on: loop) { _, stream in
                ScriptedEventStreamServer.send(
                    #"{"jsonrpc":"2.0","id":"i","error":{"code":-32602,"message":"Unsupported"}}"#, on: stream)
            }
            let stage = try Stage(on: loop, .test(server.server, transport: .sse, on: loop))
            let response = try await stage.response(to: Stage.post(Stage.initialize))
            #expect(response.hasPrefix("HTTP/1.1 200 ") && response.contains("Unsupported"))
            #expect(!response.lowercased().contains("mcp-session-id"))
            try await server.streams[0].until("the end of the stream") { $0.hasEnded }
        }
    }

    @Test func anotherConfigurationEndsTheSessionsOfItsFormerServers() async throws {
        try await withLoop { loop in
            let server = try Self.server(on: loop)
            let backend = Backend.test(server.server, transport: .sse, on: loop)
            let stage = try Stage(on: loop, backend)
            let session = try await stage.open()
            let other = try Stage(on: loop, .test(try Self.server(on: loop).server, transport: .sse, on: loop))
            let listener = try await stage.send(Stage.bodiless("GET", session: session))
            try await listener.until("the stream") { $0.text.contains("\r\n\r\n") }
            stage.older.handOver(to: other.older)
            try await listener.until("the end") { $0.text.hasSuffix("0\r\n\r\n") }
            #expect(try await stage.status(of: Stage.post(Self.request(2), session: session)) == 404)
        }
    }

    @Test func aServerThatOpensNoSessionIsAnError() async throws {
        try await withLoop { loop in
            let refusing = try ScriptedServer(on: loop, respond: { $0.respond("no", status: "403 Forbidden") })
            let stage = try Stage(on: loop, .test(refusing, transport: .sse, on: loop))
            #expect(try await stage.status(of: Stage.post(Stage.initialize)) == 403)
            refusing.close()
            await pause(.milliseconds(20), on: loop)
            let response = try await stage.response(to: Stage.post(Stage.initialize))
            #expect(response.hasPrefix("HTTP/1.1 503 ") && response.contains(#""id":"i""#))
            #expect(!response.lowercased().contains("mcp-session-id"))
        }
    }
}
