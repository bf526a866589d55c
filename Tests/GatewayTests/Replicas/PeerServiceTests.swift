import Crypto
import HTTPTransport
import HTTPWire
import Reactor
import Telemetry
import TestSupport
import Testing
import Translation

@testable import Gateway

extension ReplicaSettings {
    static func test(
        _ name: String, peers: [Member] = [], requestTimeout: Duration = .seconds(20),
        silence: Duration = .seconds(20)
    ) -> ReplicaSettings {
        ReplicaSettings(
            name: name, peers: peers, sharesChangeNotices: true, requestTimeout: requestTimeout, silence: silence,
            head: HTTPLimits())
    }
}

/// The listener of a replica `b` with loops that are scripted.
final class PeerServiceStage {
    static let ring = KeyRing([[UInt8](repeating: 1, count: 32)])
    static let seal = Seal(ring: ring, deployment: "d")

    let siblings: [ScriptedSibling]
    let service: PeerService
    private let loop: Loop

    init(
        on loop: Loop, loops: Int = 2, ring: KeyRing = ring,
        respond: @escaping (ReceivedRequest) -> Void = { $0.respond(#"{"here":1}"#) }
    ) throws {
        guard let any = SocketAddress(host: "127.0.0.1", port: 0) else { throw NoHead() }
        self.loop = loop
        siblings = (0..<loops).map { _ in ScriptedSibling(on: loop, respond: respond) }
        service = try PeerService(
            on: loop, address: any, maxConnections: 100, maxBody: 1 << 20, settings: .test("b"), workers: siblings,
            seal: Seal(ring: ring, deployment: "d"), log: .silent)
        service.startListening()
    }

    var endpoint: Endpoint { .host("127.0.0.1", port: service.address.port) }

    func connect() async throws -> Peer { try await Peer.connect(to: service.address, on: loop) }

    /// Sends a request on a new connection, and returns the response.
    func response(to request: String) async throws -> String {
        let peer = try await connect()
        peer.write(request)
        try await peer.until("a response") { $0.text.contains("\r\n\r\n") }
        return peer.text
    }

    /// A request with a token for it.
    static func request(
        _ target: String, method: HTTPMethod = .post, body: String = "{}", fields: String = "host: front\r\nx: 1\r\n",
        to receiver: String = "b", ring: KeyRing = ring, at now: UnixTime = .now
    ) -> String {
        let lines = fields.split(separator: "\r\n").map { line in
            let parts = line.split(separator: ":", maxSplits: 1)
            return (Array(parts[0].utf8), Array(parts[1].dropFirst().utf8))
        }
        let digest = PeerToken.requestDigest(
            method: method, target: Array(target.utf8), fields: lines.map { (name: $0.0, value: $0.1) },
            bodySize: body.utf8.count)
        let token = PeerToken(Seal(ring: ring, deployment: "d"))
            .issueToken(for: receiver, digest, body: Array(body.utf8), at: now)
        return
            "\(method.name) \(target) HTTP/1.1\r\n\(fields)remora-peer: \(String(decoding: token, as: UTF8.self))\r\n"
            + "content-length: \(body.utf8.count)\r\n\r\n\(body)"
    }
}

@Suite(.timeLimit(.minutes(5))) struct PeerServiceTests {
    private typealias Stage = PeerServiceStage

    private static func call(_ number: UInt8) -> CallID {
        CallID { count in (0..<count).map { UInt8(truncatingIfNeeded: $0) &+ number } }
    }

    @Test func aRetryGoesToTheLoopOfItsCall() async throws {
        try await withLoop { loop in
            let stage = try Stage(on: loop)
            for (target, number) in [("/answer/1", 1), ("/answer/0", 0), ("/answer/7", 0)] {
                let response = try await stage.response(to: Stage.request(target, body: "{\"n\":1}"))
                #expect(response.hasPrefix("HTTP/1.1 200 OK\r\n") && response.hasSuffix(#"{"here":1}"#))
                let request = try #require(stage.siblings[number].inbox.requests.last)
                #expect(request.startLine == "POST \(target) HTTP/1.1" && request.body == "{\"n\":1}")
                #expect(request.field("x") == "1" && request.field("remora-peer") == nil)
            }
            #expect(stage.siblings.map(\.inbox.requests.count) == [2, 1])
            stage.service.closeListener()
        }
    }

    @Test func aTakeOverGoesToTheLoopThatTheCallChoosesUntilTheReplicaStops() async throws {
        try await withLoop { loop in
            let stage = try Stage(on: loop)
            for number in 0..<6 {
                let call = Self.call(UInt8(number))
                let target = String(decoding: PeerTask.takeOver(call).target, as: UTF8.self)
                _ = try await stage.response(to: Stage.request(target))
                let sibling = stage.siblings[Replicas.takeOverLoop(of: call, among: 2)]
                #expect(sibling.inbox.requests.last?.startLine == "POST \(target) HTTP/1.1")
            }
            stage.service.drainRetries()
            let target = String(decoding: PeerTask.takeOver(Self.call(1)).target, as: UTF8.self)
            let gone = try await stage.response(to: Stage.request(target))
            #expect(gone.hasPrefix("HTTP/1.1 410 ") && gone.lowercased().contains("remora-peer: gone\r\n"))
            let response = try await stage.response(to: Stage.request("/answer/0"))
            #expect(response.hasPrefix("HTTP/1.1 200 "))
            stage.service.closeListener()
        }
    }

    @Test func noticesGoToAllLoops() async throws {
        try await withLoop { loop in
            let stage = try Stage(on: loop)
            let notice = PeerChangeNotice(caller: Stage.seal.callerName(of: [1]), notice: .toolsListChanged)
            let text = String(decoding: ChangeNoticeBatch.batchText([notice]), as: UTF8.self)
            #expect(try await stage.response(to: Stage.request("/hear", body: text)).hasPrefix("HTTP/1.1 204 "))
            #expect(stage.siblings.map(\.batches) == [[[notice]], [[notice]]])
            let response = try await stage.response(to: Stage.request("/hear", body: "[1]"))
            #expect(response.hasPrefix("HTTP/1.1 400 "))
            #expect(stage.siblings.allSatisfy { $0.batches.count == 1 })
            stage.service.closeListener()
        }
    }

    /// What is refused, and by which status.
    private static let refused: [(what: String, request: @Sendable () -> String, status: Int)] = [
        ("no token", { "POST /answer/0 HTTP/1.1\r\nhost: b\r\ncontent-length: 2\r\n\r\n{}" }, 401),
        ("expired", { Stage.request("/answer/0", at: .now + .seconds(-60)) }, 401),
        ("of the future", { Stage.request("/answer/0", at: .now + .seconds(60)) }, 401),
        ("for another replica", { Stage.request("/answer/0", to: "c") }, 401),
        ("of another ring", { Stage.request("/answer/0", ring: KeyRing([[UInt8](repeating: 9, count: 32)])) }, 401),
        ("another target", { Stage.request("/answer/0").replacing("/answer/0", with: "/answer/1") }, 401),
        ("another body", { Stage.request("/answer/0").replacing("{}", with: "[]") }, 401),
        ("another field", { Stage.request("/answer/0").replacing("x: 1", with: "x: 2") }, 401),
        (
            "another subject",
            {
                Stage.request("/answer/0", fields: "host: b\r\nremora-client-subject: QQ\r\n")
                    .replacing("subject: QQ", with: "subject: Qg")
            }, 401
        ),
        (
            "a subject more",
            { Stage.request("/answer/0").replacing("x: 1", with: "x: 1\r\nremora-client-subject: QQ") }, 401
        ),
        ("two tokens", { Stage.request("/answer/0").replacing("x: 1", with: "x: 1\r\nremora-peer: v1.a") }, 401),
        ("no POST", { Stage.request("/answer/0", method: .get) }, 401),
        ("a session of another loop", { Stage.request("/session") }, 404),
        ("no task", { Stage.request("/mcp") }, 404),
        ("no token and no task", { "GET / HTTP/1.1\r\nhost: b\r\n\r\n" }, 404),
        ("no HTTP", { "hello\r\n\r\n" }, 400),
    ]

    @Test(arguments: PeerServiceTests.refused.indices)
    func whatHasNoValidTokenIsRefused(_ index: Int) async throws {
        let (what, request, status) = Self.refused[index]
        try await withLoop { loop in
            let stage = try Stage(on: loop)
            let peer = try await stage.connect()
            peer.write(request())
            try await peer.until("the refusal: \(what)") { $0.hasEnded }
            #expect(peer.text.hasPrefix("HTTP/1.1 \(status) "), "\(what): \(peer.text)")
            #expect(peer.text.lowercased().contains("content-length: 0\r\n"), "\(what): \(peer.text)")
            #expect(stage.siblings.allSatisfy { $0.inbox.requests.isEmpty && $0.batches.isEmpty })
            try await eventually("the count", on: loop, stage.siblings[0].changed) { stage.siblings[0].refusals == 1 }
            stage.service.closeListener()
        }
    }

    @Test func aTokenIsAcceptedOnceOnAnyConnection() async throws {
        try await withLoop { loop in
            let stage = try Stage(on: loop)
            let request = Stage.request("/answer/0")
            #expect(try await stage.response(to: request).hasPrefix("HTTP/1.1 200 "))
            #expect(try await stage.response(to: request).hasPrefix("HTTP/1.1 401 "))
            let peer = try await stage.connect()
            peer.write(Stage.request("/answer/0"))
            try await peer.until("a response") { $0.text.hasSuffix(#"{"here":1}"#) }
            peer.write(request)
            try await peer.until("a refusal") { $0.text.contains("HTTP/1.1 401 ") }
            #expect(stage.siblings[0].inbox.requests.count == 2)
            stage.service.closeListener()
        }
    }

    @Test func bodiesHaveALimit() async throws {
        try await withLoop { loop in
            let stage = try Stage(on: loop)
            let peer = try await stage.connect()
            // The token is for it. Nothing of the body has to come for the refusal.
            let body = String(repeating: "x", count: ChangeNoticeBatch.maxSize + 1)
            peer.write(String(Stage.request("/hear", body: body).prefix(2000)))
            try await peer.until("the refusal") { $0.text.hasPrefix("HTTP/1.1 400 ") }
            stage.service.closeListener()
        }
    }

    @Test func aLoopThatIsGoneHasNotResponded() async throws {
        try await withLoop { loop in
            let stage = try Stage(on: loop)
            stage.siblings[0].isGone = true
            let response = try await stage.response(to: Stage.request("/answer/0"))
            #expect(response.hasPrefix("HTTP/1.1 503 "), "\(response)")
            stage.service.closeListener()
        }
    }

    @Test func aReplicaThatLeavesEndsItsRetry() async throws {
        try await withLoop { loop in
            let stage = try Stage(on: loop, respond: { _ in })
            let peer = try await stage.connect()
            peer.write(Stage.request("/answer/0"))
            let request = try await stage.siblings[0].inbox.request(0)
            peer.socket.close()
            try await request.peer.until("the end") { $0.hasEnded }
            stage.service.closeListener()
        }
    }
}
