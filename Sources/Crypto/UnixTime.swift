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

    /// As ISO 8601 has it, in UTC: `2026-07-28T00:00:00Z`. Years have four digits at least.
    package var iso8601: String {
        // Days are counted from a first of March, in cycles of 400 years.
        let (day, second) = UnixTime.divide(seconds, by: 86_400)
        let (cycle, dayOfCycle) = UnixTime.divide(day + 719_468, by: 146_097)
        let year = (dayOfCycle - dayOfCycle / 1460 + dayOfCycle / 36_524 - dayOfCycle / 146_096) / 365
        let dayOfYear = dayOfCycle - (365 * year + year / 4 - year / 100)
        let month = (5 * dayOfYear + 2) / 153
        let dayOfMonth = dayOfYear - (153 * month + 2) / 5 + 1
        let isNextYear = month >= 10
        let date = [cycle * 400 + year + (isNextYear ? 1 : 0), isNextYear ? month - 9 : month + 3, dayOfMonth]
        let time = [second / 3600, second / 60 % 60, second % 60]
        func text(_ number: Int64, _ digits: Int) -> String {
            let spelled = String(number)
            return String(repeating: "0", count: max(0, digits - spelled.count)) + spelled
        }
        return "\(text(date[0], 4))-\(text(date[1], 2))-\(text(date[2], 2))T"
            + time.map { text($0, 2) }.joined(separator: ":") + "Z"
    }

    private static func divide(_ number: Int64, by divisor: Int64) -> (Int64, Int64) {
        let (quotient, remainder) = number.quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
    }
}
