import Legacy
import Reactor

/// A request that waits for a list. Others may wait for the same, and each can give up on its own.
final class ListWaiter {
    private let wakeup = Wakeup()
    private var delivered: (ListOutcome, freshUntil: Instant)?
    private var isCancelled = false
    /// A reading for this request alone.
    private var reading: ListReading?

    /// The request's client has gone.
    func cancel() {
        isCancelled = true
        reading?.cancel(.clientLeft)
        wakeup.signal()
    }

    /// What was waited for is here.
    func deliver(_ outcome: ListOutcome, freshUntil: Instant) {
        delivered = (outcome, freshUntil)
        wakeup.signal()
    }

    /// Waits for `deliver` or `cancel`.
    func wait() async -> (ListOutcome, freshUntil: Instant) {
        while true {
            if isCancelled { return (.failed(.clientLeft), .now) }
            if let delivered { return delivered }
            await wakeup.wait()
        }
    }

    /// Runs a reading that nobody shares, and that ends when the client goes.
    func run(_ reading: ListReading) async -> ListOutcome {
        self.reading = reading
        defer { self.reading = nil }
        if isCancelled { reading.cancel(.clientLeft) }
        return await reading.run()
    }
}
