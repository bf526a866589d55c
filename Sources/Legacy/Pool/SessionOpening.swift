import Reactor

/// A handshake under way, and the calls that wait for it.
final class SessionOpening {
    /// What came of it; nil while it is under way.
    private(set) var result: Result<LegacySession, BackendError>?
    private var waiters: [ObjectIdentifier: SessionWaiter] = [:]
    /// Who is asked what the server asks on the session, as long as that call waits for it.
    var owner: (any QuestionObserver)?
    /// Set when others want its place and no call waits for it.
    let abandonment = Abandonment()

    /// Whether a call waits for it, or has not been told of its end yet.
    var isAwaited: Bool { !waiters.isEmpty }

    func endOpening(_ result: Result<LegacySession, BackendError>) {
        self.result = result
        for waiter in waiters.values { waiter.wake() }
    }

    /// Waits until it has ended.
    ///
    /// - Throws: where the call waits no longer.
    func waitForEnd(for waiter: SessionWaiter, on loop: Loop) async throws(BackendError) {
        waiters[ObjectIdentifier(waiter)] = waiter
        defer { waiters[ObjectIdentifier(waiter)] = nil }
        try await waiter.waitWhile(while: { result == nil }, on: loop)
    }
}
