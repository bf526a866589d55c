/// Lets one task wait until a callback on the same loop has something for it.
///
/// It carries no value and remembers nothing: the waiter looks at its condition in a loop.
@safe package final class Wakeup {
    private var waiter: UnsafeContinuation<Void, Never>?

    package init() {}

    /// Suspends until `signal`. One task may wait at a time.
    package func wait() async {
        await unsafe withUnsafeContinuation { continuation in
            unsafe precondition(waiter == nil, "a wakeup has one waiter")
            unsafe waiter = continuation
        }
    }

    /// Resumes the waiter, if there is one.
    package func signal() {
        guard let waiter = unsafe waiter.take() else { return }
        unsafe waiter.resume()
    }
}

/// Lets any number of tasks of one loop wait for the same thing.
@safe package final class Gate {
    private var waiters: [UnsafeContinuation<Void, Never>] = unsafe []

    package init() {}

    package func wait() async {
        await unsafe withUnsafeContinuation { unsafe waiters.append($0) }
    }

    /// Resumes all that wait, in the order in which they came.
    package func open() {
        let waiters = unsafe waiters
        unsafe self.waiters = unsafe []
        unsafe waiters.forEach { unsafe $0.resume() }
    }
}
