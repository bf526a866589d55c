/// `Retry-After` of a server (RFC 9110 §10.2.3), as it may be forwarded: a client that cannot read it would come back at once, or
/// never.
enum RetryAfter {
    /// Seconds. A server that wants more of a client will say so again.
    private static let maxDelay = 86_400

    private static let days = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

    /// The value: seconds, a day at the most, or a date in the form that is sent today (IMF-fixdate, RFC 9110 §5.6.7). Nil where
    /// it is neither.
    static func publishedValue(_ value: [UInt8]) -> [UInt8]? {
        if value.isEmpty || !value.allSatisfy(isDigit) { return isDate(value) ? value : nil }
        let digits = value.drop { $0 == UInt8(ascii: "0") }
        // More digits than the most have are more.
        guard digits.count <= 5 else { return Array("\(maxDelay)".utf8) }
        return Array("\(min(smallNumber(digits), maxDelay))".utf8)
    }

    /// `Sun, 06 Nov 1994 08:49:37 GMT`
    private static func isDate(_ value: [UInt8]) -> Bool {
        let pattern = Array("aaa, 00 aaa 0000 00:00:00 GMT".utf8)
        guard value.count == pattern.count else { return false }
        for (byte, kind) in zip(value, pattern) {
            switch kind {
            case UInt8(ascii: "0"): if !isDigit(byte) { return false }
            // The names are looked up below.
            case UInt8(ascii: "a"): continue
            default: if byte != kind { return false }
            }
        }
        return days.contains { $0.utf8.elementsEqual(value[0..<3]) }
            && months.contains { $0.utf8.elementsEqual(value[8..<11]) }
            && (1...31).contains(smallNumber(value[5..<7])) && smallNumber(value[17..<19]) < 24
            && smallNumber(value[20..<22]) < 60
            && smallNumber(value[23..<25]) <= 60
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

    /// Of a few digits.
    private static func smallNumber(_ digits: ArraySlice<UInt8>) -> Int {
        digits.reduce(0) { $0 * 10 + Int($1 - UInt8(ascii: "0")) }
    }
}
