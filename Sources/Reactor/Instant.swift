internal import Glibc

/// A moment of the monotonic clock, in nanoseconds. Values of one process compare; they mean nothing outside it.
package struct Instant: Comparable, Hashable, Sendable {
    package var nanoseconds: Int64

    package init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    package static var now: Instant {
        var time = timespec()
        _ = unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return Instant(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
    }

    // Written out, as far as each message needs them: other modules look up the generic ones by the protocol, at each comparison.

    @inline(__always)
    package static func < (left: Instant, right: Instant) -> Bool { left.nanoseconds < right.nanoseconds }

    @inline(__always)
    package static func > (left: Instant, right: Instant) -> Bool { left.nanoseconds > right.nanoseconds }

    @inline(__always)
    package static func != (left: Instant, right: Instant) -> Bool { left.nanoseconds != right.nanoseconds }

    /// The earlier of the two.
    @inline(__always)
    package static func min(_ one: Instant, _ other: Instant) -> Instant { one < other ? one : other }

    package static func + (left: Instant, right: Duration) -> Instant {
        Instant(nanoseconds: left.nanoseconds + right.nanoseconds)
    }

    package static func - (left: Instant, right: Instant) -> Duration {
        // As wide as any product of the two: nothing can overflow.
        Duration(attoseconds: Int128(left.nanoseconds - right.nanoseconds) &* 1_000_000_000)
    }
}

/// A length of time as the clock counts it, for what is added to an ``Instant`` with each message: of a `Duration`, its
/// 128 bits have to be divided for that.
package struct Interval: Comparable, Sendable {
    package let nanoseconds: Int64

    package init(_ duration: Duration) { nanoseconds = duration.nanoseconds }

    package static func < (left: Interval, right: Interval) -> Bool { left.nanoseconds < right.nanoseconds }
}

extension Instant {
    package static func + (left: Instant, right: Interval) -> Instant {
        Instant(nanoseconds: left.nanoseconds + right.nanoseconds)
    }
}

extension Duration {
    /// Whole nanoseconds. Durations here come from the configuration, which allows none that would overflow.
    package var nanoseconds: Int64 { Int64(attoseconds / 1_000_000_000) }
}
