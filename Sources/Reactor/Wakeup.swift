/// Lets any number of tasks of one loop wait until a callback or another of its tasks has something for them.
///
/// It carries no value and remembers nothing: a waiting task looks at its condition in a loop.
@safe package final class Wakeup {
    /// Nearly always there is one at the most, which takes no array.
    private var waiter: UnsafeContinuation<Void, Never>?
    private var others: [UnsafeContinuation<Void, Never>] = unsafe []
    private var signals = 0

    package init() {}

    /// Suspends until `signal`.
    package func wait() async {
        // To suspend, a task passes through the loop's queue of ready jobs once more: what another job signals meanwhile
        // would be lost to a waiter that is not there yet.
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
