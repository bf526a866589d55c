import Crypto
import HTTPTransport
import HTTPWire
import Legacy
import MCP
import Reactor
import Telemetry
import TestSupport
import Testing

@testable import Gateway

/// The forwarder of a gateway between clients and scripted backends.
private final class Stage {
    let forwarder: Forwarder
    let backends: Backends
    let eras = KnownEras()
    let front: Front
    private var server: ScriptedServer?
    private let sessions: SessionPool
    private let settings: GatewaySettings
    private let callers: CallerRules
    private let loop: Loop

    init(
        on loop: Loop, _ backends: [Backend], era: Era? = .modern, known: EraTable.Finding? = nil,
        publicURL: PublicURL? = nil, requestTimeout: Duration = .seconds(20)
    ) throws {
        self.loop = loop
        self.backends = Backends(backends)
        if let known { for backend in backends { eras.eras[backend.name] = known } }
        let settings = GatewaySettings.test(era: era, publicURL: publicURL, requestTimeout: requestTimeout)
        self.settings = settings
        sessions = SessionPool.test(self.backends)
        let key = HashKey()
        callers = CallerRules(settings.callerFields, key: key)
        forwarder = Forwarder(
            settings: settings, admission: AdmissionRules(settings: settings), backends: self.backends,
            sessions: sessions, known: eras,
            affinity: SessionAffinity(key: key), paths: AuthorizationPaths(), log: .silent)
        front = try Front(on: loop, in: RequestBook(tally: RequestTally(), log: .silent))
    }

    convenience init(on loop: Loop, _ server: ScriptedServer, era: Era? = .modern, publicURL: PublicURL? = nil) throws {
        try self.init(on: loop, [.test(server, on: loop)], era: era, publicURL: publicURL)
        self.server = server
    }

    /// Has a request served on a connection of its own, as a gateway does. Status 299 stands for one that has to be admitted, and
    /// 298 for one that has to be translated after all.
    func send(_ text: String) async throws -> Peer {
        let (client, responder) = try await front.connect()
        client.write(text)
        guard let (source, clientRequest) = await front.nextRequest(on: responder) else { throw NoHead() }
        forwarder.allowOrigin(of: source.head, on: responder.connection)
        if let refusal = settings.door.originRefusal(of: source.head) {
            clientRequest.finishRequest(.refused(refusal))
            return client
        }
        if let response = forwarder.preflightResponse(to: source.head) {
            clientRequest.finishRequest(.empty(response))
            return client
        }
        guard let requestClass = forwarder.classifyRequest(source.head) else {
            clientRequest.finishRequest(.empty(HTTPResponse(status: 299)))
            return client
        }
        let caller = callers.identifyCaller(of: source.head, subject: nil)
        loop.spawn { [self] in
            if await !forwarder.serveRequest(requestClass, source, from: caller, clientRequest) {
                clientRequest.finishRequest(.empty(HTTPResponse(status: 298)))
            }
        }
        return client
    }

    /// The whole response to a request.
    func response(to text: String) async throws -> String {
        let client = try await send(text)
        try await client.until("the response") { $0.isWholeResponse }
        return client.text
    }

    func status(of text: String) async throws -> Int {
        Int(try await response(to: text).dropFirst("HTTP/1.1 ".count).prefix(3)) ?? 0
    }

    static func get(_ target: String, fields: String = "") -> String {
        "GET \(target) HTTP/1.1\r\nHost: h\r\n\(fields)\r\n"
    }

    static func post(_ target: String = "/mcp", fields: String = "", _ body: String = "{}") -> String {
        "POST \(target) HTTP/1.1\r\nHost: h\r\n\(fields)Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
    }
}

extension Peer {
    /// Whether all of a response has come, as its length or its chunks say.
    var isWholeResponse: Bool {
        guard let end = text.firstRange(of: "\r\n\r\n") else { return false }
        let head = text[..<end.lowerBound].lowercased()
        guard let length = head.firstRange(of: "content-length: ") else {
            return !head.contains("transfer-encoding") || text.hasSuffix("0\r\n\r\n")
        }
        let size = Int(head[length.upperBound...].prefix { $0.isNumber }) ?? 0
        return text[end.upperBound...].utf8.count >= size
    }
}

@Suite(.timeLimit(.minutes(5))) struct ForwarderTests {
    // MARK: The endpoint

    @Test func aRequestGoesToTheEndpointOfTheBackend() async throws {
        try await withLoop { loop in
            let server = try ScriptedServer(on: loop, respond: { $0.respond(#"{"ok":1}"#) })
            let backend = Backend.test(
                server, target: "/up?key=1", fields: [(Array("x-set".utf8), Array("1".utf8))], on: loop)
            let stage = try Stage(on: loop, [backend])
            let response = try await stage.response(
                to: Stage.post(
                    "/mcp?x=1",
                    fields: "Origin: http://page\r\nAuthorization: A\r\nX_Set: 2\r\nExpect: 100-continue\r\n"))
            #expect(
                response.hasSuffix(#"{"ok":1}"#) && response.contains("access-control-allow-origin: http://page\r\n"))
            let request = try await server.inbox.request(0)
            #expect(request.startLine == "POST /up?key=1&x=1 HTTP/1.1" && request.body == "{}")
            #expect(request.field("host") == "backend" && request.field("authorization") == "A")
            #expect(request.field("x-set") == "1" && request.field("x_set") == nil)
            #expect(request.field("origin") == nil && request.field("expect") == nil)
            let counts = stage.front.book.tally.counts
            #expect(counts.active == 0)
        }
    }

    @Test func whatMayNotComeInReachesNoBackend() async throws {
        try await withLoop { loop in
            let server = try ScriptedServer(on: loop, respond: { $0.respond() })
            let stage = try Stage(on: loop, server)
            #expect(try await stage.status(of: "PUT /mcp HTTP/1.1\r\nHost: h\r\n\r\n") == 405)
            #expect(try await stage.status(of: Stage.post(fields: "Origin: http://evil\r\n")) == 403)
            #expect(try await stage.status(of: Stage.get("/other")) == 299)
            #expect(server.requests.isEmpty)
        }
    }

    @Test func aPreflightIsAnsweredHere() async throws {
        try await withLoop { loop in
            let server = try ScriptedServer(on: loop)
            let stage = try Stage(on: loop, server)
            let ask = "Origin: http://page\r\nAccess-Control-Request-Method: POST\r\n"
            let response = try await stage.response(to: "OPTIONS /mcp HTTP/1.1\r\nHost: h\r\n\(ask)\r\n")
            #expect(response.hasPrefix("HTTP/1.1 204 "))
            #expect(response.contains("access-control-allow-methods: POST, GET, DELETE\r\n"))
            let document = "/.well-known/oauth-protected-resource"
            let other = try await stage.response(to: "OPTIONS \(document) HTTP/1.1\r\nHost: h\r\n\(ask)\r\n")
            #expect(other.contains("access-control-allow-methods: GET, POST\r\n"))
            #expect(server.requests.isEmpty)
        }
    }

    @Test(arguments: ["", "HTTP/1.1 200 OK\r\nX"])
    func aResponseThatIsCutBeforeItsBodyIsAnError(_ sent: String) async throws {
        try await withLoop { loop in
            let server = try ScriptedServer(on: loop) { request in
                if !sent.isEmpty { request.peer.write(sent) }
                request.peer.socket.close()
            }
            let stage = try Stage(on: loop, server)
            let response = try await stage.response(
                to: Stage.post(fields: "", #"{"jsonrpc":"2.0","id":"five","method":"x"}"#))
            #expect(response.contains(#""id":"five""#) && response.contains(#""error":"#))
            let notification = try await stage.response(to: Stage.post(fields: "", #"{"jsonrpc":"2.0","method":"x"}"#))
            #expect(notification.hasPrefix("HTTP/1.1 5"))
            #expect(server.requests.count == 2)
        }
    }

    @Test func aRefusalLeavesTheRequestToAnother() async throws {
        try await withLoop { loop in
            let server = try ScriptedServer(on: loop, respond: { $0.respond("no", status: "405 Method Not Allowed") })
            let stage = try Stage(on: loop, server)
            let (client, responder) = try await stage.front.connect()
            client.write(Stage.post())
            guard let request = await stage.front.nextRequest(on: responder) else { throw NoHead() }
            let wasRefused = await stage.forwarder.forwardRequest(
                request.source, request.clientRequest, unless: { $0 == 405 })
            #expect(wasRefused && client.bytes.isEmpty && !request.clientRequest.isFinished)
            request.clientRequest.finishRequest(.empty(HTTPResponse(status: 202)))
            try await client.until("another response") { $0.text.hasPrefix("HTTP/1.1 202 ") }
        }
    }

    // MARK: Several backends

    @Test func aSessionStaysAtItsBackend() async throws {
        try await withLoop { loop in
            var opened = 0
            let servers = try (0..<3).map { number in
                try ScriptedServer(on: loop) { request in
                    if request.field("mcp-session-id") != nil { return request.respond(#"{"at":\#(number)}"#) }
                    opened += 1
                    request.respond(#"{"at":\#(number)}"#, fields: "Mcp-Session-Id: s\(opened)-\(number)\r\n")
                }
            }
            let stage = try Stage(on: loop, servers.map { .test($0, on: loop) })
            var used: Set<Int> = []
            for session in 1...6 {
                let first = try await stage.response(to: Stage.post())
                let number = try #require((0..<3).first { first.contains("s\(session)-\($0)\r\n") })
                used.insert(number)
                for _ in 0..<3 {
                    let next = try await stage.response(
                        to: Stage.post(fields: "Mcp-Session-Id: s\(session)-\(number)\r\n"))
                    #expect(next.hasSuffix(#"{"at":\#(number)}"#))
                }
            }
            #expect(used.count > 1)
            #expect(stage.backends.counts.allSatisfy { $0.load == 0 })
        }
    }

    @Test func aBackendThatCannotBeReachedIsReplacedUnlessItHasTheSession() async throws {
        try await withLoop { loop in
            let servers = try (0..<2).map { number in
                try ScriptedServer(
                    on: loop, respond: { $0.respond(#"{"at":\#(number)}"#, fields: "Mcp-Session-Id: s\(number)\r\n") })
            }
            let stage = try Stage(on: loop, servers.map { .test($0, on: loop) })
            var first = ""
            while !first.contains("s0\r\n") { first = try await stage.response(to: Stage.post()) }
            servers[0].close()
            await pause(.milliseconds(20), on: loop)
            for _ in 0..<4 { #expect(try await stage.response(to: Stage.post()).hasSuffix(#"{"at":1}"#)) }
            let lost = try await stage.response(
                to: Stage.post(fields: "Mcp-Session-Id: s0\r\n", #"{"jsonrpc":"2.0","id":5,"method":"x"}"#))
            #expect(lost.hasPrefix("HTTP/1.1 5") && lost.contains(#""id":5"#))
            servers[1].close()
            await pause(.milliseconds(20), on: loop)
            #expect(try await stage.response(to: Stage.post()).hasPrefix("HTTP/1.1 5"))
            #expect(stage.backends.counts.allSatisfy { $0.load == 0 })
        }
    }

    // MARK: Streams and the end of a gateway

    @Test func streamsEndWithTheirGatewayUnlessTheNextOneHasTheirServer() async throws {
        try await withLoop { loop in
            let server = try ScriptedServer(on: loop) { request in
                request.peer.write(
                    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
                        + "9\r\ndata: a\n\n\r\n")
            }
            let stage = try Stage(on: loop, server)
            let client = try await stage.send(Stage.get("/mcp"))
            try await client.until("an event") { $0.text.contains("data: a") }
            stage.forwarder.drainStreams(except: stage.backends)
            await pause(.milliseconds(20), on: loop)
            #expect(!client.text.hasSuffix("0\r\n\r\n"))
            stage.forwarder.drainStreams()
            try await client.until("the end") { $0.text.hasSuffix("0\r\n\r\n") }
            // Those to come end as soon as they have begun.
            let late = try await stage.send(Stage.get("/mcp"))
            try await late.until("the end") { $0.text.hasSuffix("0\r\n\r\n") }
        }
    }

    @Test func aClientThatLeavesEndsItsRequestAtTheBackend() async throws {
        try await withLoop { loop in
            let server = try ScriptedServer(on: loop)
            let stage = try Stage(on: loop, server)
            let client = try await stage.send(Stage.post())
            let request = try await server.inbox.request(0)
            client.socket.close()
            try await request.peer.until("the end") { $0.hasEnded }
            await pause(.milliseconds(5), on: loop)
            #expect(stage.front.book.tally.counts.active == 0)
            #expect(stage.backends.counts.allSatisfy { $0.load == 0 })
        }
    }

    // MARK: The era

    @Test func aResponseThatContradictsTheEraIsADoubt() async throws {
        try await withLoop { loop in
            let server = try ScriptedServer(on: loop, respond: { $0.respond(status: "404 Not Found") })
            let stage = try Stage(
                on: loop, [.test(server, on: loop)], era: nil,
                known: EraTable.Finding(verdict: .modern, until: loop.now + .seconds(60)))
            #expect(stage.eras.eras.values.allSatisfy { $0.verdict == .modern })
            #expect(try await stage.status(of: Stage.post()) == 404)
            #expect(stage.eras.eras.isEmpty)
        }
    }

    /// A request that needs no session has one opened, where nothing is known of the server.
    @Test func theEraIsDetectedWithASession() async throws {
        try await withLoop { loop in
            let modern = try ScriptedServer(on: loop) { request in
                guard request.body.contains("initialize") else { return request.respond(#"{"modern":1}"#) }
                request.respond(
                    #"{"jsonrpc":"2.0","id":0,"error":{"code":\#(ErrorCode.unsupportedProtocolVersion),"#
                        + #""message":"no","data":{"supported":["2026-07-28"]}}}"#, status: "400 Bad Request")
            }
            let legacy = try ScriptedMCPServer(on: loop)
            let knock = Knock().changed { knock in
                (knock.method, knock.methodHeader, knock.nameHeader) = (
                    "subscriptions/listen", "subscriptions/listen", nil
                )
                knock.params = #""notifications":{},"#
            }
            let text = Stage.post(
                fields: "Content-Type: application/json\r\nMCP-Protocol-Version: 2026-07-28\r\n"
                    + "Mcp-Method: subscriptions/listen\r\n", knock.text)
            for (server, result) in [(modern, 200), (legacy.server, 298)] {
                let stage = try Stage(on: loop, server, era: nil)
                #expect(try await stage.status(of: text) == result)
                #expect(stage.eras.eras.values.map(\.verdict) == [result == 200 ? .modern : .legacy])
                // It is known from now on.
                #expect(try await stage.status(of: text) == (result == 200 ? 200 : 299))
            }
        }
    }

    // MARK: Authorization

    /// A backend with documents at these paths; 401 at its endpoint.
    private static func authorized(on loop: Loop, _ documents: [String: String]) throws -> ScriptedServer {
        try ScriptedServer(on: loop) { request in
            let path = request.startLine.split(separator: " ")[1].prefix { $0 != "?" }
            if path == "/up" {
                return request.respond(
                    status: "401 Unauthorized",
                    fields: "WWW-Authenticate: Bearer resource_metadata=\"http://backend/custom/meta\"\r\n")
            }
            if let document = documents[String(path)] { return request.respond(document) }
            request.respond("none", status: "404 Not Found")
        }
    }

    @Test func metadataLeadsThroughRemora() async throws {
        try await withLoop { loop in
            let resource = #"{"resource":"http://backend/up","authorization_servers":["http://backend"],"x":1}"#
            let server = try Self.authorized(on: loop, ["/.well-known/oauth-protected-resource": resource])
            let stage = try Stage(on: loop, server)
            let text = try await stage.response(to: Stage.get("/.well-known/oauth-protected-resource/mcp"))
            #expect(
                text.hasSuffix(#"{"resource":"http://h/mcp","authorization_servers":["http://h"],"x":1}"#), "\(text)")
            #expect(server.requests.allSatisfy { $0.field("host") == "backend" && $0.field("authorization") == nil })
            let post = try await stage.status(of: Stage.post("/.well-known/oauth-protected-resource"))
            #expect(post == 405)
            // By the URL that the operator has named.
            let named = try Stage(
                on: loop, server, publicURL: PublicURL(origin: "https://public.example", path: "/path"))
            let other = try await named.response(to: Stage.get("/.well-known/oauth-protected-resource/path"))
            #expect(other.contains(#""resource":"https://public.example/path""#), "\(other)")
        }
    }

    @Test func theFirstRevisionHasNoDocumentOfTheResource() async throws {
        try await withLoop { loop in
            let server = try Self.authorized(
                on: loop, ["/.well-known/oauth-authorization-server": #"{"issuer":"http://backend"}"#])
            let stage = try Stage(on: loop, server)
            let text = try await stage.response(to: Stage.get("/.well-known/oauth-protected-resource"))
            #expect(text.hasSuffix(#"{"resource":"http://h/mcp","authorization_servers":["http://h"]}"#), "\(text)")
            let none = try Stage(on: loop, try Self.authorized(on: loop, [:]))
            #expect(try await none.status(of: Stage.get("/.well-known/oauth-protected-resource")) == 404)
            #expect(try await none.status(of: Stage.get("/.well-known/oauth-authorization-server")) == 404)
        }
    }

    @Test func aBackendThatIsIllHasNoDocuments() async throws {
        try await withLoop { loop in
            let ill = try ScriptedServer(on: loop, respond: { $0.respond(status: "500 Internal Server Error") })
            let cut = try ScriptedServer(on: loop, respond: { $0.peer.socket.close() })
            let large = try ScriptedServer(on: loop, respond: { $0.respond(String(repeating: "x", count: 300_000)) })
            for server in [ill, cut, large] {
                let stage = try Stage(on: loop, server)
                let status = try await stage.status(of: Stage.get("/.well-known/oauth-authorization-server"))
                #expect((500...599).contains(status), "\(status)")
            }
        }
    }

    @Test func endpointsAreThoseOfAnAuthorizationServer() async throws {
        try await withLoop { loop in
            let server = try Self.authorized(
                on: loop,
                [
                    "/.well-known/oauth-authorization-server":
                        #"{"issuer":"http://backend","token_endpoint":"http://backend/oauth/token"}"#,
                    "/oauth/token": #"{"token":1}"#, "/token": #"{"token":0}"#,
                ])
            let stage = try Stage(on: loop, server)
            // Nothing has named it so far.
            #expect(try await stage.status(of: Stage.post("/oauth/token", "a=b")) == 299)
            #expect(try await stage.response(to: Stage.post("/token?q=1", "a=b")).hasSuffix(#"{"token":0}"#))
            let metadata = try await stage.response(to: Stage.get("/.well-known/oauth-authorization-server"))
            #expect(metadata.contains(#""token_endpoint":"http://h/oauth/token""#))
            #expect(try await stage.response(to: Stage.post("/oauth/token", "a=b")).hasSuffix(#"{"token":1}"#))
            #expect(server.requests.last?.body == "a=b")
            #expect(try await stage.status(of: "DELETE /oauth/token HTTP/1.1\r\nHost: h\r\n\r\n") == 405)
            // A default path alone may be anything.
            let other = try Stage(on: loop, try Self.authorized(on: loop, ["/token": "{}"]))
            #expect(try await other.status(of: Stage.post("/token")) == 404)
            // Unless the backend requires authorization and has no metadata at all.
            #expect(try await other.status(of: Stage.post()) == 401)
            #expect(try await other.status(of: Stage.post("/token")) == 200)
        }
    }

    @Test func aChallengeNamesAPath() async throws {
        try await withLoop { loop in
            let server = try Self.authorized(
                on: loop,
                [
                    "/custom/meta": #"{"resource":"http://backend/up"}"#,
                    "/.well-known/oauth-protected-resource": #"{"authorization_servers":["http://backend/as"]}"#,
                    "/.well-known/oauth-authorization-server/as": #"{"token_endpoint":"http://backend/as/token"}"#,
                    "/as/token": "{}",
                ])
            let stage = try Stage(on: loop, server)
            #expect(try await stage.status(of: Stage.get("/custom/meta")) == 299)
            let challenge = try await stage.response(to: Stage.post())
            #expect(challenge.contains("resource_metadata=\"http://h/custom/meta\"\r\n"))
            #expect(try await stage.response(to: Stage.get("/custom/meta")).hasSuffix(#"{"resource":"http://h/mcp"}"#))
            // A client may know a path from earlier: the metadata is read for it, and not again for the next one.
            #expect(try await stage.status(of: Stage.post("/as/token")) == 200)
            let requests = server.requests.count
            #expect(try await stage.status(of: Stage.get("/unknown")) == 299)
            #expect(server.requests.count == requests)
        }
    }

    @Test func theChallengesOfAnErrorAreRewritten() async throws {
        try await withLoop { loop in
            let server = try ScriptedServer(on: loop)
            let stage = try Stage(on: loop, server)
            let head = try parseHead("POST /mcp HTTP/1.1\r\nHost: h\r\n\r\n")
            let error = BackendError(
                .unauthorized(status: 401, challenges: [Array(#"Bearer resource_metadata="http://backend/m""#.utf8)]),
                "")
            let refusal = try #require(
                stage.forwarder.rewriteChallenges(of: Refusal(error, hasID: true), to: head))
            let values = refusal.fields.map { String(decoding: $0.value, as: UTF8.self) }
            #expect(values.contains(#"Bearer resource_metadata="http://h/m""#), "\(values)")
            #expect(stage.forwarder.rewriteChallenges(of: nil, to: head) == nil)
        }
    }
}
