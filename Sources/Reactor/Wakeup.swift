// Both note before they suspend how often they were signalled. To suspend, a task passes through the loop's queue of
// ready jobs once more: what another job signals meanwhile would be lost to a waiter that is not there yet.

/// Lets one task wait until a callback or another task of the same loop has something for it.
///
/// It carries no value and remembers nothing: the waiter looks at its condition in a loop.
@safe package final class Wakeup {
    private var waiter: UnsafeContinuation<Void, Never>?
    private var signals = 0

    package init() {}

    /// Suspends until `signal`. One task may wait at a time.
    package func wait() async {
        let seen = signals
        await unsafe withUnsafeContinuation { continuation in
            unsafe precondition(waiter == nil, "a wakeup has one waiter")
            if signals != seen { return unsafe continuation.resume() }
            unsafe waiter = continuation
        }
    }

    /// Resumes the waiter, if there is one.
    package func signal() {
        signals &+= 1
        guard let waiter = unsafe waiter.take() else { return }
        unsafe waiter.resume()
    }
}

/// Lets any number of tasks of one loop wait for the same thing.
@safe package final class Gate {
    private var waiters: [UnsafeContinuation<Void, Never>] = unsafe []
    private var openings = 0

    package init() {}

    package func wait() async {
        let seen = openings
        await unsafe withUnsafeContinuation { continuation in
            if openings != seen { return unsafe continuation.resume() }
            unsafe waiters.append(continuation)
        }
    }

    /// Resumes all that wait, in the order in which they came.
    package func open() {
        openings &+= 1
        let waiters = unsafe waiters
        unsafe self.waiters = unsafe []
        unsafe waiters.forEach { unsafe $0.resume() }
    }
}
