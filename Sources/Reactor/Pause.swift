/// A wait of one task for some time to pass, which others may cut short.
package final class Pause {
    private let timer: Deadline
    private let wakeup = Wakeup()
    private var isOver = false

    package init(on loop: Loop) {
        timer = Deadline(on: loop)
        timer.onExpiry = { [unowned self] in endPause() }
    }

    /// Returns after `duration`, or as soon as `end` is called; at once if it was called before.
    package func waitFor(_ duration: Duration) async {
        guard !isOver else { return }
        timer.set(after: duration)
        while !isOver { await wakeup.wait() }
        timer.set(nil)
    }

    /// Ends the wait.
    package func endPause() {
        isOver = true
        wakeup.signal()
    }
}
