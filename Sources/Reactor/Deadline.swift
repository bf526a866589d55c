/// One timer that is moved often and fires rarely, as the timeouts of a connection are.
///
/// Moving it later costs an assignment: the libevent timer stays where it is, and when it fires too early it is set
/// again for the rest.
package final class Deadline {
    private let loop: Loop
    private let event = Event()
    private var due: Instant?
    private var armed: Instant?

    /// Called on the loop when the deadline has passed; the deadline is cleared then.
    package var onExpiry: (() -> Void)?

    package init(on loop: Loop) {
        self.loop = loop
        // `deinit` of the event deletes it before this object is gone: no retain is needed.
        unsafe event.assignEvent(
            loop.base, fd: -1, events: 0,
            callback: { _, _, context in
                let deadline = unsafe Unmanaged<Deadline>.fromOpaque(context!).takeUnretainedValue()
                deadline.loop.runTurn { deadline.timerFired() }
            },
            context: Unmanaged.passUnretained(self).toOpaque())
    }

    /// Whether there is a deadline now.
    package var isSet: Bool { due != nil }

    /// Sets or moves the deadline; nil clears it.
    package func set(_ instant: Instant?) {
        due = instant
        guard let instant else { return }
        if let armed, armed <= instant { return }
        armTimer(instant)
    }

    package func set(after delay: Duration) { set(loop.now + delay) }

    private func armTimer(_ instant: Instant) {
        armed = instant
        event.add(after: max(.zero, instant - loop.now))
    }

    private func timerFired() {
        armed = nil
        guard let due else { return }
        if loop.now < due {
            armTimer(due)
        } else {
            self.due = nil
            onExpiry?()
        }
    }
}
