import Reactor

/// How many lines of a child's may go into the log: a burst, and from then on so many a second. The rest is counted.
struct LineAllowance {
    private static let burst = 200
    private static let perSecond = 50

    private var left = LineAllowance.burst
    private var refilled: Instant
    private var dropped = 0

    init(at now: Instant) { refilled = now }

    enum Verdict: Equatable {
        /// To be written, after word of so many that were not.
        case write(dropped: Int)
        case drop
    }

    mutating func takeLine(at now: Instant) -> Verdict {
        let earned = Int((now - refilled).nanoseconds / (1_000_000_000 / Int64(LineAllowance.perSecond)))
        if earned > 0 {
            left = min(left + earned, LineAllowance.burst)
            refilled = now
        }
        guard left > 0 else {
            dropped += 1
            return .drop
        }
        left -= 1
        defer { dropped = 0 }
        return .write(dropped: dropped)
    }

    /// How many were dropped since the last one that was not.
    mutating func takeDropped() -> Int {
        defer { dropped = 0 }
        return dropped
    }
}
