import Crypto
import Legacy
import Reactor
import Telemetry
import TestSupport
import Testing

@testable import Gateway

/// The watch over the era of scripted servers, and the sessions that are its evidence.
private final class Stage: EraObserver {
    let watch: EraWatch
    /// How often the server has become a modern one.
    private(set) var turns = 0
    let changed = Wakeup()
    private let sessions: SessionPool
    private let servers: [ScriptedMCPServer]
    private let caller: Caller

    init(on loop: Loop, _ servers: [ScriptedMCPServer], interval: Duration = .seconds(60)) throws {
        self.servers = servers
        let backends = Backends(servers.map { Backend.test($0.server, on: loop) })
        sessions = SessionPool.test(backends)
        let callers = CallerRules(CallerFields(isolateBy: ["authorization"]), key: HashKey())
        caller = callers.identifyCaller(
            of: try parseHead("POST / HTTP/1.1\r\nHost: h\r\nAuthorization: A\r\n\r\n"), subject: nil)
        watch = EraWatch(
            fixed: nil, interval: interval, backends: backends, sessions: sessions, known: KnownEras(), log: .silent)
        watch.observer = self
    }

    func serverBecameModern() {
        turns += 1
        changed.signal()
    }

    func isModern() async -> Bool { await watch.isModern(for: caller) }
}

@Suite(.timeLimit(.minutes(5))) struct EraWatchTests {
    private static let discovery = #"{"supportedVersions":["2026-07-28"],"capabilities":{}}"#

    /// A server that can be asked, and what it says.
    private static func server(
        on loop: Loop, revision: String = "2025-11-25", _ discover: @escaping (ScriptedMCPServer.Call) -> Void
    ) throws -> ScriptedMCPServer {
        let server = try ScriptedMCPServer(on: loop) { call in
            if call.method == "server/discover" { discover(call) } else { call.answer("{}") }
        }
        server.revision = revision
        return server
    }

    @Test func aServerOfTheNewestHandshakeIsAsked() async throws {
        try await withLoop { loop in
            let legacy = try Self.server(on: loop, { $0.fail(-32601) })
            let one = try Stage(on: loop, [legacy])
            #expect(one.watch.knownEra == nil && one.watch.eraForRequest() == nil)
            #expect(await !one.isModern())
            #expect(one.watch.knownEra == .legacy && !one.watch.servesWithoutSession && one.turns == 0)
            #expect(legacy.count(of: "server/discover") == 1)

            let modern = try Self.server(on: loop, { $0.answer(Self.discovery) })
            let other = try Stage(on: loop, [modern])
            #expect(await other.isModern())
            #expect(other.watch.knownEra == .modern && other.watch.servesWithoutSession && other.turns == 1)

            let old = try Self.server(on: loop, revision: "2025-06-18", { $0.answer(Self.discovery) })
            let third = try Stage(on: loop, [old])
            #expect(await !third.isModern())
            #expect(third.watch.knownEra == .legacy && old.count(of: "server/discover") == 0)
        }
    }

    @Test(arguments: [true, false]) func aServerThatRefusesTheHandshakeIsAsked(_ isModern: Bool) async throws {
        try await withLoop { loop in
            let server = try Self.server(
                on: loop, { isModern ? $0.answer(Self.discovery) : $0.request.respond(status: "401 Unauthorized") })
            server.refusal = "400 Bad Request"
            let stage = try Stage(on: loop, [server])
            #expect(await stage.isModern() == isModern)
            #expect(stage.watch.servesWithoutSession == isModern)
            #expect(server.count(of: "server/discover") >= 1)
        }
    }

    @Test func aServerThatChangesIsFoundOutAboutWithoutWaiting() async throws {
        try await withLoop { loop in
            var isModern = false
            let server = try Self.server(on: loop, { isModern ? $0.answer(Self.discovery) : $0.fail(-32601) })
            let stage = try Stage(on: loop, [server], interval: .milliseconds(50))
            #expect(await !stage.isModern())
            isModern = true
            for _ in 0..<500 where stage.turns == 0 {
                // A request is served as before until the answer is there.
                #expect(stage.watch.eraForRequest() != nil)
                await pause(.milliseconds(10), on: loop)
            }
            #expect(stage.turns == 1 && stage.watch.servesWithoutSession)
        }
    }

    @Test func aServerThatIsSilentDelaysASessionForAWhile() async throws {
        try await withLoop { loop in
            let server = try Self.server(on: loop, { _ in })
            let stage = try Stage(on: loop, [server])
            #expect(await !stage.isModern())
            #expect(stage.watch.knownEra == nil && server.sessions == 1)
        }
    }

    @Test func allBackendsHaveToBeModern() async throws {
        try await withLoop { loop in
            let modern = try Self.server(on: loop, { $0.answer(Self.discovery) })
            let legacy = try Self.server(on: loop, { $0.fail(-32601) })
            let stage = try Stage(on: loop, [modern, legacy])
            // The modern one gives no session, so that the other one is asked too.
            #expect(await !stage.isModern())
            #expect(stage.watch.eraForRequest() == .legacy && stage.watch.servesWithoutSession && stage.turns <= 1)
        }
    }
}
