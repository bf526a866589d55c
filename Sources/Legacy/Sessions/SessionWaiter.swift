package import Reactor

/// A caller that waits for a session, no longer than it has time, and until it leaves. What it waits for goes on for others.
package final class SessionWaiter {
    /// `nil`: no limit of its own.
    private let end: Instant?
    private let wakeup = Wakeup()
    private(set) var hasLeft = false
    /// Called when it leaves.
    var onLeave: (() -> Void)?

    /// - Parameter end: when the request of the caller has taken too long.
    package init(until end: Instant?) { self.end = end }

    /// The caller does not wait any more.
    package func stopWaiting() {
        hasLeft = true
        wakeup.signal()
        onLeave?()
    }

    /// It waits all the same: another came in its place.
    package func comeBack() { hasLeft = false }

    /// What it waits for may have come.
    func wake() { wakeup.signal() }

    /// Waits while `condition` holds.
    ///
    /// - Throws: where it still holds, because the caller has left or its time is over.
    func waitWhile(while condition: () -> Bool, on loop: Loop) async throws(BackendError) {
        if let end {
            await wakeup.wait(while: { !hasLeft && condition() }, until: end, on: loop)
        } else {
            while !hasLeft, condition() { await wakeup.wait() }
        }
        guard condition() else { return }
        throw hasLeft
            ? .clientLeft
            : BackendError(.unavailable, "there was no session within limits.request_timeout")
    }
}

/// Tells, while a session is being opened, that no call wants it any more.
final class Abandonment {
    private(set) var isSet = false
    /// Called when that is so; at once where it is.
    var onSet: (() -> Void)? {
        didSet { if isSet { onSet?() } }
    }

    func abandonOpening() {
        guard !isSet else { return }
        isSet = true
        onSet?()
    }
}
