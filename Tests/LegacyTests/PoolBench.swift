import Crypto
import Glibc
import JSONText
import MCP
import Reactor
import Telemetry
import Testing
import TestSupport
import Translation

@testable import Legacy

/// A pool of sessions with fake servers, and calls that ask it for sessions.
final class PoolBench {
    let loop: Loop
    let pool: SessionPool
    private(set) var servers: [FakeServer] = []
    private(set) var opened = 0
    private(set) var ended = 0
    private(set) var doubts = 0
    private(set) var callers: [PoolCaller] = []
    private let changed = Wakeup()
    private let startsProcesses: Bool
    private static let log = Log(level: .error, format: .text, descriptor: open("/dev/null", O_WRONLY))
    private static let hashKey = HashKey()

    /// - Parameter count: of servers that are copies of each other.
    init(
        on loop: Loop, servers count: Int = 1, startsProcesses: Bool = false,
        _ limits: SessionPool.Limits = PoolBench.limits()
    ) {
        self.loop = loop
        self.startsProcesses = startsProcesses
        let changed = changed
        servers = (0..<count).map {
            FakeServer("copy\($0)", startsProcesses: startsProcesses, on: loop, log: PoolBench.log, changed: changed)
        }
        pool = SessionPool(
            backends: Backends(of: servers), limits: limits, notices: BackendNotices(), log: PoolBench.log)
        pool.observer = self
        pool.inspector = self
    }

    static func limits(
        _ sessions: Int = 8, perPrincipal: Int = 8, idle: Duration = .seconds(60), queue: Duration = .seconds(10)
    ) -> SessionPool.Limits {
        SessionPool.Limits(
            maxSessions: sessions, maxPerPrincipal: perPrincipal, idleTimeout: idle, queueTimeout: queue,
            maxSending: 1000)
    }

    /// The only server, or the first.
    var server: FakeServer { servers[0] }

    /// Another server, as another configuration has it.
    func anotherServer() -> FakeServer {
        let server = FakeServer(
            "copy\(servers.count)", startsProcesses: startsProcesses, on: loop, log: PoolBench.log, changed: changed)
        servers.append(server)
        return server
    }

    static func principal(_ caller: UInt8) -> KeyedHash { hashKey.hash([caller]) }

    static func key(_ caller: UInt8, _ capabilities: String = "{}") -> SessionKey {
        SessionKey(principal: principal(caller), capabilities: Array(capabilities.utf8))
    }

    /// A call asks for a session.
    @discardableResult func ask(
        _ caller: UInt8 = 1, for owner: FakeOwner? = nil, after previous: LegacySession? = nil,
        until end: Instant? = nil
    ) -> PoolCaller {
        let call = PoolCaller(SessionWaiter(until: end), of: caller, for: owner)
        callers.append(call)
        loop.spawn { [self] in
            do throws(BackendError) {
                call.outcome = .success(
                    try await pool.leaseSession(
                        PoolBench.key(caller), for: owner, after: previous, credentials: .none, by: call.waiter))
            } catch {
                call.outcome = .failure(error)
            }
            changed.signal()
        }
        return call
    }

    /// A call that has a session gives it back.
    func release(_ call: PoolCaller) {
        guard let lease = call.lease else { return }
        call.outcome = nil
        pool.releaseLease(lease)
    }

    /// A call asks for a session, and has it.
    func lease(
        _ caller: UInt8 = 1, for owner: FakeOwner? = nil, after previous: LegacySession? = nil
    ) async throws -> PoolCaller {
        let call = ask(caller, for: owner, after: previous)
        try await until("a session") { call.outcome != nil }
        if let error = call.error { throw error }
        return call
    }

    /// Waits until `condition` holds.
    func until(_ what: String, _ condition: () -> Bool) async throws {
        let end = Instant.now + .seconds(10)
        while !condition() {
            guard .now < end else { throw TimedOut(what: what) }
            await pause(.milliseconds(1), on: loop)
        }
    }

    /// Lets all go on that can.
    func settle() async { for _ in 0..<4 { await loop.nextTurn() } }

    /// The transport of a session.
    func transport(of session: LegacySession?) -> FakeTransport? {
        servers.flatMap(\.transports).first { session != nil && $0.session === session }
    }

    /// Whether nothing was found that only a mistake in the pool leads to.
    func checkNoMistakes() { #expect(PoolBench.log.internalErrorCount == 0) }

    struct TimedOut: Error { let what: String }
}

extension PoolBench: SessionPoolObserver, SessionInspector {
    func sessionChanged(_ event: SessionEvent) {
        switch event {
        case .opened: opened += 1
        case .ended: ended += 1
        case .changed, .unheard: break
        }
    }

    func doubtEra() { doubts += 1 }

    func mayServe(_ session: LegacySession, at backend: Backend, _ credentials: Credentials) async -> Bool { true }

    func inspectRefusal(
        _ error: BackendError, by backend: Backend, _ credentials: Credentials
    ) async -> BackendError { error }
}
