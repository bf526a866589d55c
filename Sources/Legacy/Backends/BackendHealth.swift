package import Reactor

/// What one loop knows of the way to the server.
package struct ConnectionCounts: Sendable {
    /// Connections that wait for their next request.
    package var idle = 0
    package var made = 0
    package var failed = 0
    /// How the last attempt to make one ended; nil before the first.
    package var last: Attempt?

    package struct Attempt: Sendable {
        package let succeeded: Bool
        package let at: Instant

        package init(succeeded: Bool, at: Instant) {
            self.succeeded = succeeded
            self.at = at
        }
    }

    package init() {}

    /// Adds those of another loop.
    package mutating func addCounts(_ other: ConnectionCounts) {
        idle += other.idle
        made += other.made
        failed += other.failed
        if let attempt = other.last, last.map({ $0.at < attempt.at }) ?? true { last = attempt }
    }
}

/// Whether the server can be reached, as far as this is known without a call.
final class BackendHealth {
    /// For how long what is known counts as known.
    fileprivate static let freshness: Duration = .seconds(5)

    private(set) var made = 0
    private(set) var failed = 0
    /// How the last attempt to connect ended, and when; nil before the first.
    private(set) var last: ConnectionCounts.Attempt?
    var checking: Wakeup?

    func noteConnection(at now: Instant) {
        made += 1
        last = ConnectionCounts.Attempt(succeeded: true, at: now)
    }

    func noteFailure(at now: Instant) {
        failed += 1
        last = ConnectionCounts.Attempt(succeeded: false, at: now)
    }
}

extension ReachableServer {
    /// Whether the server can be reached. What the last 5 seconds told is believed; otherwise it is tried, once for all who
    /// ask. Without that, a server that was away would be so for ever for a balancer that sends no calls until it is back.
    ///
    /// - Parameter patience: how long the answer may take. A server that has not been reached by then counts as
    ///   unreachable.
    func checkReachability(patience: Duration) async -> Bool {
        if let last = health.last, loop.now - last.at < BackendHealth.freshness { return last.succeeded }
        if isReached { return true }
        let wakeup = health.checking ?? beginCheck()
        await wakeup.wait(while: { health.checking === wakeup }, until: loop.now + patience, on: loop)
        return health.checking !== wakeup && health.last?.succeeded == true
    }

    private func beginCheck() -> Wakeup {
        let wakeup = Wakeup()
        health.checking = wakeup
        loop.spawn {
            await self.tryToReach()
            self.health.checking = nil
            wakeup.signal()
        }
        return wakeup
    }
}
