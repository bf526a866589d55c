import Legacy
import Reactor

/// A request that waits for a list. Others may wait for the same, and each can give up on its own.
final class ListWaiter {
    private let end: Instant
    private let loop: Loop
    private let wakeup = Wakeup()
    private var delivered: (ListOutcome, freshUntil: Instant)?
    private var isCancelled = false
    /// A reading for this request alone.
    private var reading: ListReading?

    /// - Parameter end: when the request has taken too long.
    init(until end: Instant, on loop: Loop) {
        self.end = end
        self.loop = loop
    }

    /// The request's client has gone.
    func cancelWait() {
        isCancelled = true
        reading?.cancelReading(.clientLeft)
        wakeup.signal()
    }

    /// What was waited for is here.
    func deliverList(_ outcome: ListOutcome, freshUntil: Instant) {
        delivered = (outcome, freshUntil)
        wakeup.signal()
    }

    /// Waits for `deliverList` or `cancel`, for as long as the request may take.
    func waitForList() async -> (ListOutcome, freshUntil: Instant) {
        await wakeup.wait(while: { !isCancelled && delivered == nil }, until: end, on: loop)
        if isCancelled { return (.failed(.clientLeft), .now) }
        return delivered ?? (.failed(ListWaiter.overdue), .now)
    }

    private static let overdue = BackendError(
        .unavailable, "a list of the server did not come within limits.request_timeout")

    /// Runs a reading for this request alone. It ends when the client leaves.
    func runReading(_ reading: ListReading) async -> ListOutcome {
        self.reading = reading
        defer { self.reading = nil }
        if isCancelled { reading.cancelReading(.clientLeft) }
        return await reading.readList()
    }
}
