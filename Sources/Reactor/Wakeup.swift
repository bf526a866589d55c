// Both note before they suspend how often they were signalled. To suspend, a task passes through the loop's queue of
// ready jobs once more: what another job signals meanwhile would be lost to a waiter that is not there yet.

/// Lets tasks of one loop wait until a callback or another of its tasks has something for them.
///
/// It carries no value and remembers nothing: whoever waits looks at its condition in a loop.
@safe package final class Wakeup {
    /// Nearly always there is one at the most, which takes no array.
    private var waiter: UnsafeContinuation<Void, Never>?
    private var others: [UnsafeContinuation<Void, Never>] = unsafe []
    private var signals = 0

    package init() {}

    /// Suspends until `signal`.
    package func wait() async {
        let seen = signals
        await unsafe withUnsafeContinuation { continuation in
            if signals != seen { return unsafe continuation.resume() }
            if unsafe waiter == nil { unsafe waiter = continuation } else { unsafe others.append(continuation) }
        }
    }

    /// Resumes all that wait, in the order in which they came.
    package func signal() {
        signals &+= 1
        guard let waiter = unsafe waiter.take() else { return }
        unsafe waiter.resume()
        if unsafe others.isEmpty { return }
        let others = unsafe others
        unsafe self.others = unsafe []
        unsafe others.forEach { unsafe $0.resume() }
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
