import Crypto
import HTTPTransport
import HTTPWire
import Legacy
import Reactor
import Telemetry
import TestSupport
import Testing
import Translation

@testable import Gateway

/// A replica `a` on one loop, and a client whose retry came there.
private final class Stage {
    let replicas: Replicas
    let client: Peer
    let retry: HTTPServerRequest
    let siblings: [ScriptedSibling]
    private let front: Front
    private let responder: Responder

    /// - Parameter loops: loops of the process, of which the first is the test's own.
    init(
        on loop: Loop, loops: Int = 1, peers: [ReplicaSettings.Member] = [], ring: KeyRing = PeerServiceStage.ring,
        fields: String = "", body: String = #"{"jsonrpc":"2.0","id":7,"method":"tools/call"}"#,
        respond: @escaping (ReceivedRequest) -> Void = { $0.respond(#"{"there":1}"#) }
    ) async throws {
        siblings = (0..<loops).map { _ in ScriptedSibling(on: loop, respond: respond) }
        replicas = Replicas(
            .test("a", peers: peers, silence: .seconds(5)), index: 0, on: loop, seal: Seal(ring: ring, deployment: "d"),
            log: .silent)
        replicas.connectLoops(siblings)
        front = try Front(on: loop, in: RequestBook(tally: RequestTally(), log: .silent))
        (client, responder) = try await front.connect()
        client.write(
            "POST /mcp HTTP/1.1\r\nHost: front:1\r\nAuthorization: Bearer A\r\n\(fields)"
                + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)")
        guard case .request(let retry) = await responder.connection.nextArrival() else { throw NoHead() }
        self.retry = retry
    }

    /// What came of the retry, in words.
    func forward(_ call: CallID = Stage.call(0), to owner: String) async -> String {
        switch await replicas.forwardRetry(
            retry, of: call, to: Array(owner.utf8), answering: responder.connection)
        {
        case .answered(let status, let bytes): "answered \(status), \(bytes)"
        case .unknown(let error): "unknown, \(error.kind)"
        case .refused(let error): "refused, \(error.kind)"
        case .takeOverHere: "take over"
        }
    }

    /// What came of the request of an older client, in words.
    func handOver(to loop: Int) async -> String {
        switch await replicas.handOverRequest(retry, to: loop, answering: responder.connection) {
        case .answered(let status, let bytes): "answered \(status), \(bytes)"
        case .failed(let error): "failed, \(error.kind)"
        }
    }

    static func call(_ number: Int) -> CallID {
        CallID { count in (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ number &* 7) } }
    }

    /// A call that a loop of so many takes over, and that prefers the replica which comes first of these.
    static func call(forLoop loop: Int = 0, of loops: Int = 1, preferring names: [String] = ["a"]) throws -> CallID {
        for number in 0..<10_000 {
            let call = call(number)
            if Replicas.takeOverLoop(of: call, among: loops) == loop, Rendezvous.orderedNames(names, for: call) == names
            {
                return call
            }
        }
        throw NoHead()
    }
}

@Suite(.timeLimit(.minutes(5))) struct ReplicasTests {
    private static func member(_ name: String, _ endpoint: Endpoint) -> ReplicaSettings.Member {
        ReplicaSettings.Member(name: name, endpoint: endpoint)
    }

    /// An endpoint at which nothing listens.
    private static func nowhere(on loop: Loop) throws -> Endpoint {
        let server = try ScriptedServer(on: loop)
        server.close()
        return server.endpoint
    }

    // MARK: Loops

    @Test func aCallOfThisLoopThatIsGoneIsTakenOverHere() async throws {
        try await withLoop { loop in
            let stage = try await Stage(on: loop)
            for owner in ["a/0", "a/5", "", "a", "a/x", "z/0"] {
                #expect(await stage.forward(to: owner) == "take over")
            }
            #expect(!stage.replicas.hasPeers && stage.client.bytes.isEmpty)
            #expect(String(decoding: stage.replicas.owner, as: UTF8.self) == "a/0")
        }
    }

    @Test func aRetryGoesToTheLoopThatOwnsItsCall() async throws {
        try await withLoop { loop in
            let stage = try await Stage(
                on: loop, loops: 3, fields: "Remora-Client-Address: 9.9.9.9\r\nRemora-Client-Subject: QQ\r\n")
            #expect(stage.replicas.hasPeers)
            #expect(await stage.forward(to: "a/2") == "answered 200, 11")
            try await stage.client.until("the response") { $0.text.hasSuffix(#"{"there":1}"#) }
            let request = try #require(stage.siblings[2].inbox.requests.first)
            #expect(request.startLine == "POST /answer/2 HTTP/1.1" && request.field("authorization") == "Bearer A")
            #expect(request.field("host") == "front:1" && request.field("remora-client-address") == "127.0.0.1")
            // What the client says of itself there is not believed.
            #expect(request.field("remora-client-subject") == nil && request.field("remora-peer") == nil)
        }
    }

    @Test func theLoopOfTheCallTakesItOverWhereItsOwnerDoesNotHaveIt() async throws {
        try await withLoop { loop in
            let stage = try await Stage(on: loop, loops: 3) { request in
                if request.startLine.contains("/answer/") {
                    request.respond(status: "410 Gone", fields: "remora-peer: gone\r\n")
                } else {
                    request.respond(#"{"there":1}"#)
                }
            }
            let there = try Stage.call(forLoop: 1, of: 3)
            #expect(await stage.forward(there, to: "a/2") == "answered 200, 11")
            #expect(stage.siblings[2].inbox.requests.map(\.startLine) == ["POST /answer/2 HTTP/1.1"])
            let target = String(decoding: PeerTask.takeOver(there).target, as: UTF8.self)
            #expect(stage.siblings[1].inbox.requests.map(\.startLine) == ["POST \(target) HTTP/1.1"])
            let here = try Stage.call(forLoop: 0, of: 3)
            let other = try await Stage(
                on: loop, loops: 3, respond: { $0.respond(status: "410 Gone", fields: "remora-peer: gone\r\n") })
            #expect(await other.forward(here, to: "a/2") == "take over")
            #expect(other.client.bytes.isEmpty)
        }
    }

    @Test func aRequestOfAnOlderClientGoesToTheLoopOfItsSession() async throws {
        try await withLoop { loop in
            let stage = try await Stage(on: loop, loops: 2)
            #expect(await stage.handOver(to: 1) == "answered 200, 11")
            #expect(stage.siblings[1].inbox.requests.map(\.startLine) == ["POST /session HTTP/1.1"])
            for missing in [2, -1] {
                let other = try await Stage(on: loop, loops: 2)
                #expect(await other.handOver(to: missing) == "failed, unavailable")
                #expect(other.client.bytes.isEmpty)
            }
            let cut = try await Stage(on: loop, loops: 2, respond: { $0.peer.socket.close() })
            #expect(await cut.handOver(to: 1) == "failed, noAnswer")
        }
    }

    // MARK: Replicas

    @Test func aRetryGoesToTheReplicaThatOwnsItsCall() async throws {
        try await withLoop { loop in
            let there = try PeerServiceStage(on: loop)
            let stage = try await Stage(on: loop, peers: [Self.member("b", there.endpoint)])
            #expect(stage.replicas.hasPeers)
            #expect(await stage.forward(to: "b/1") == "answered 200, 10")
            try await stage.client.until("the response") { $0.text.hasSuffix(#"{"here":1}"#) }
            let request = try #require(there.siblings[1].inbox.requests.first)
            #expect(request.startLine == "POST /answer/1 HTTP/1.1" && request.field("authorization") == "Bearer A")
            #expect(request.field("remora-client-address") == "127.0.0.1" && request.field("host") == "front:1")
            #expect(stage.replicas.numbers.refusedThere == 0)
            there.service.closeListener()
        }
    }

    @Test func aCallOfAReplicaThatCannotBeReachedIsTakenOver() async throws {
        try await withLoop { loop in
            let stage = try await Stage(on: loop, peers: [Self.member("b", try Self.nowhere(on: loop))])
            #expect(await stage.forward(to: "b/0") == "take over")
            #expect(stage.client.bytes.isEmpty && stage.replicas.numbers.refusedThere == 0)
        }
    }

    @Test func aReplicaThatDoesNotRespondToTheProbeGetsNoRetry() async throws {
        try await withLoop { loop in
            let silent = try ScriptedServer(on: loop)
            let broken = try ScriptedServer(on: loop, respond: { $0.peer.socket.close() })
            let closing = try ScriptedServer(on: loop) {
                $0.respond(status: "204 No Content", fields: "Connection: close\r\n")
            }
            for server in [silent, broken, closing] {
                let stage = try await Stage(on: loop, peers: [Self.member("b", server.endpoint)])
                #expect(await stage.forward(to: "b/0") == "take over")
                #expect(server.requests.map(\.startLine) == ["POST /hear HTTP/1.1"])
                #expect(stage.client.bytes.isEmpty && stage.replicas.numbers.refusedThere == 1)
            }
        }
    }

    @Test func aReplicaWithOtherKeysGetsNoRetry() async throws {
        try await withLoop { loop in
            let there = try PeerServiceStage(on: loop, ring: KeyRing([[UInt8](repeating: 2, count: 32)]))
            let stage = try await Stage(on: loop, peers: [Self.member("b", there.endpoint)])
            #expect(await stage.forward(to: "b/0") == "refused, rejected(status: 401)")
            #expect(there.siblings.allSatisfy { $0.inbox.requests.isEmpty } && stage.client.bytes.isEmpty)
            #expect(stage.replicas.numbers.refusedThere == 1)
            there.service.closeListener()
        }
    }

    /// Responses to a retry that was delivered, and what comes of it.
    @Test(arguments: [
        ("410 Gone", "remora-peer: gone\r\n", "", "take over"), ("410 Gone", "", "{}", "answered 410, 2"),
        ("403 Forbidden", "", "", "refused, rejected(status: 403)"),
        ("503 Service Unavailable", "", "", "unknown, noAnswer"),
        ("401 Unauthorized", "WWW-Authenticate: Bearer\r\n", "", "answered 401, 0"),
        ("500 Internal Server Error", "", "{}", "answered 500, 2"),
    ])
    func responsesOfTheListenerAreNotThoseOfTheCall(
        _ status: String, _ fields: String, _ body: String, _ result: String
    ) async throws {
        try await withLoop { loop in
            let server = try ScriptedServer(on: loop) { request in
                if request.startLine.contains("/hear") { return request.respond(status: "204 No Content") }
                request.respond(body, status: status, fields: fields)
            }
            let stage = try await Stage(on: loop, peers: [Self.member("b", server.endpoint)])
            #expect(await stage.forward(to: "b/0") == result)
            #expect(server.requests.map(\.startLine) == ["POST /hear HTTP/1.1", "POST /answer/0 HTTP/1.1"])
            guard result.hasPrefix("answered") else { return #expect(stage.client.bytes.isEmpty) }
            try await stage.client.until("the response") { $0.text.hasPrefix("HTTP/1.1 \(status)\r\n") }
        }
    }

    @Test func aReplicaThatIsLostWithTheRetryLeavesItsOutcomeUnknown() async throws {
        try await withLoop { loop in
            let server = try ScriptedServer(on: loop) { request in
                if request.startLine.contains("/hear") { return request.respond(status: "204 No Content") }
                request.peer.socket.close()
            }
            let stage = try await Stage(on: loop, peers: [Self.member("b", server.endpoint)])
            #expect(await stage.forward(to: "b/0") == "unknown, noAnswer")
            #expect(stage.client.bytes.isEmpty)
        }
    }

    @Test func aStreamThatIsLostEndsWithAnError() async throws {
        try await withLoop { loop in
            let server = try ScriptedServer(on: loop) { request in
                if request.startLine.contains("/hear") { return request.respond(status: "204 No Content") }
                request.peer.write(
                    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
                        + "9\r\ndata: a\n\n\r\n")
            }
            let stage = try await Stage(on: loop, peers: [Self.member("b", server.endpoint)])
            loop.spawn {
                try? await stage.client.until("the event") { $0.text.contains("data: a") }
                server.close()
            }
            #expect(await stage.forward(to: "b/0").hasPrefix("answered 200, "))
            try await stage.client.until("the end") { $0.text.hasSuffix("0\r\n\r\n") }
            #expect(stage.client.text.contains(#""id":7"#) && stage.client.text.contains("outcome_unknown"))
        }
    }

    @Test func theReplicaThatAllChooseTakesACallOver() async throws {
        try await withLoop { loop in
            let there = try PeerServiceStage(on: loop, loops: 1)
            let peers = [Self.member("b", there.endpoint), Self.member("c", try Self.nowhere(on: loop))]
            let other = try Stage.call(preferring: ["b", "a"])
            let stage = try await Stage(on: loop, peers: peers)
            #expect(await stage.forward(other, to: "c/0") == "answered 200, 10")
            let target = String(decoding: PeerTask.takeOver(other).target, as: UTF8.self)
            #expect(there.siblings[0].inbox.requests.map(\.startLine) == ["POST \(target) HTTP/1.1"])
            // One that is about to stop takes nothing over.
            there.service.drainRetries()
            let next = try await Stage(on: loop, peers: peers)
            #expect(await next.forward(other, to: "c/0") == "take over")
            let own = try Stage.call(preferring: ["a", "b"])
            #expect(await next.forward(own, to: "c/0") == "take over")
            #expect(there.siblings[0].inbox.requests.count == 1)
            there.service.closeListener()
        }
    }

    @Test func aClientThatLeavesEndsItsRetryThere() async throws {
        try await withLoop { loop in
            let there = try PeerServiceStage(on: loop, respond: { _ in })
            let stage = try await Stage(on: loop, peers: [Self.member("b", there.endpoint)])
            loop.spawn {
                _ = try? await there.siblings[0].inbox.request(0)
                stage.client.socket.close()
            }
            #expect(await stage.forward(to: "b/0") == "answered 499, 0")
            let request = try await there.siblings[0].inbox.request(0)
            try await request.peer.until("the end") { $0.hasEnded }
            there.service.closeListener()
        }
    }

    /// Loops and replicas that have the call, do not have it, or are lost with the retry: it is delivered once at most, and the
    /// result says what the client has received.
    @Test func whateverTheOthersDoARetryIsDeliveredOnceAtMost() async throws {
        try await withLoop { loop in
            var random = SplitMix(state: 3)
            for round in 0..<120 {
                var delivered = 0
                var policies: [String] = []
                func respond(_ request: ReceivedRequest) {
                    if request.startLine.contains("/hear") { return request.respond(status: "204 No Content") }
                    let policy = random.below(4)
                    policies.append("\(policy)")
                    if policy > 1 { return request.respond(status: "410 Gone", fields: "remora-peer: gone\r\n") }
                    delivered += 1
                    if policy == 0 { request.respond("{}") } else { request.peer.socket.close() }
                }
                let there = try PeerServiceStage(on: loop, loops: 1 + random.below(3), respond: respond)
                let other = try ScriptedServer(on: loop, respond: respond)
                if random.below(4) == 0 { other.close() }
                if random.below(4) == 0 { there.service.drainRetries() }
                let stage = try await Stage(
                    on: loop, loops: 1 + random.below(3),
                    peers: [Self.member("b", there.endpoint), Self.member("c", other.endpoint)], respond: respond)
                let owner = ["a/0", "a/1", "a/2", "b/0", "b/1", "c/0", "d/0"][random.below(7)]
                let result = await stage.forward(Stage.call(random.below(1000)), to: owner)
                let what = "round \(round), \(owner), \(policies): \(result)"
                #expect(delivered <= 1, "\(what)")
                switch result {
                case "answered 200, 2":
                    #expect(delivered == 1, "\(what)")
                    try await stage.client.until("the response") { $0.text.hasSuffix("{}") }
                case "unknown, noAnswer":
                    #expect(delivered == 1 && stage.client.bytes.isEmpty, "\(what)")
                default:
                    #expect(result == "take over" && delivered == 0 && stage.client.bytes.isEmpty, "\(what)")
                }
                there.service.closeListener()
            }
        }
    }

    // MARK: Replicas that are learnt

    @Test func aReplicaIsReachedFromWhenItIsKnownUntilItIsForgotten() async throws {
        try await withLoop { loop in
            let (there, elsewhere) = (try PeerServiceStage(on: loop), try PeerServiceStage(on: loop))
            let first = try await Stage(on: loop)
            first.replicas.usePeers([Self.member("b", there.endpoint)])
            #expect(await first.forward(to: "b/0") == "answered 200, 10")
            // Elsewhere after a restart.
            let next = try await Stage(on: loop)
            next.replicas.usePeers([Self.member("b", there.endpoint)])
            next.replicas.usePeers([Self.member("b", elsewhere.endpoint)])
            #expect(await next.forward(to: "b/1") == "answered 200, 10")
            #expect(there.siblings.map(\.inbox.requests.count) == [1, 0])
            #expect(elsewhere.siblings.map(\.inbox.requests.count) == [0, 1])
            let last = try await Stage(on: loop)
            last.replicas.usePeers([Self.member("b", elsewhere.endpoint)])
            last.replicas.usePeers([])
            #expect(await last.forward(to: "b/0") == "take over")
            there.service.closeListener()
            elsewhere.service.closeListener()
        }
    }

    @Test func whatIsLearntTakesThePlaceOfNothingThatIsConfigured() async throws {
        try await withLoop { loop in
            let there = try PeerServiceStage(on: loop)
            let stage = try await Stage(on: loop, peers: [Self.member("c", try Self.nowhere(on: loop))])
            stage.replicas.usePeers([Self.member("c", there.endpoint), Self.member("a", there.endpoint)])
            for owner in ["c/1", "a/1"] { #expect(await stage.forward(to: owner) == "take over") }
            #expect(there.siblings.allSatisfy { $0.inbox.requests.isEmpty })
            there.service.closeListener()
        }
    }

    @Test func noticesGoToThoseThatAreKnownNow() async throws {
        try await withLoop { loop in
            let there = try PeerServiceStage(on: loop)
            let stage = try await Stage(on: loop)
            #expect(!stage.replicas.hasPeers)
            stage.replicas.notifyOthers(.toolsListChanged, of: [1])
            stage.replicas.usePeers([Self.member("b", there.endpoint)])
            #expect(stage.replicas.hasPeers)
            stage.replicas.notifyOthers(.promptsListChanged, of: [1])
            let sibling = there.siblings[0]
            try await eventually("a notice", on: loop, sibling.changed) { !sibling.batches.isEmpty }
            #expect(sibling.batches[0].map(\.notice) == [.promptsListChanged])
            stage.replicas.usePeers([])
            #expect(!stage.replicas.hasPeers)
            // One may come at any time.
            let settings = ReplicaSettings(
                name: "a", peers: [], findsOthers: true, sharesChangeNotices: true, requestTimeout: .seconds(1),
                silence: .seconds(1), head: HTTPLimits())
            let alone = Replicas(settings, index: 0, on: loop, seal: PeerServiceStage.seal, log: .silent)
            #expect(alone.hasPeers)
            there.service.closeListener()
        }
    }

    // MARK: Change notices

    @Test func noticesGoToAllOthersTheFirstAtOnceAndTheRestTogether() async throws {
        try await withLoop { loop in
            let there = try PeerServiceStage(on: loop)
            let stage = try await Stage(
                on: loop, loops: 2,
                peers: [Self.member("b", there.endpoint), Self.member("c", try Self.nowhere(on: loop))])
            let identity = Array("Bearer A".utf8)
            stage.replicas.notifyOthers(.toolsListChanged, of: identity)
            await pause(.milliseconds(20), on: loop)
            for _ in 0..<3 {
                stage.replicas.notifyOthers(.toolsListChanged, of: identity)
                stage.replicas.notifyOthers(.resourceUpdated(Array("a:/".utf8)), of: identity)
            }
            for sibling in [stage.siblings[1]] + there.siblings {
                try await eventually("both batches", on: loop, sibling.changed) { sibling.batches.count == 2 }
                #expect(sibling.batches[0].map(\.notice) == [.toolsListChanged])
                #expect(sibling.batches[1].map(\.notice) == [.toolsListChanged, .resourceUpdated(Array("a:/".utf8))])
                #expect(sibling.batches[0].allSatisfy { $0.caller == PeerServiceStage.seal.callerName(of: identity) })
            }
            #expect(stage.siblings[0].batches.isEmpty)
            there.service.closeListener()
        }
    }
}
