internal import Glibc

/// A moment of the wall clock, which replicas share; in whole seconds. What one process measures alone goes by the
/// monotonic clock instead.
package struct UnixTime: Comparable, Hashable, Sendable {
    /// Since 1970-01-01T00:00:00Z.
    package let seconds: Int64

    package init(seconds: Int64) { self.seconds = seconds }

    package static var now: UnixTime {
        var time = timespec()
        _ = unsafe clock_gettime(CLOCK_REALTIME, &time)
        return UnixTime(seconds: Int64(time.tv_sec))
    }

    package static func < (left: UnixTime, right: UnixTime) -> Bool { left.seconds < right.seconds }

    /// - Parameter right: parts of a second are cut off.
    package static func + (left: UnixTime, right: Duration) -> UnixTime {
        UnixTime(seconds: left.seconds + right.components.seconds)
    }
}
