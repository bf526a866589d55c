/// The characters that HTTP and SSE give a meaning.
enum ASCII {
    static var nul: UInt8 { 0x00 }
    static var tab: UInt8 { 0x09 }
    static var lf: UInt8 { 0x0A }
    static var cr: UInt8 { 0x0D }
    static var space: UInt8 { 0x20 }
    static var hash: UInt8 { 0x23 }
    static var comma: UInt8 { 0x2C }
    static var slash: UInt8 { 0x2F }
    static var colon: UInt8 { 0x3A }
    static var semicolon: UInt8 { 0x3B }
    static var question: UInt8 { 0x3F }
}

extension UInt8 {
    /// A capital letter of ASCII as the small one; any other byte as it is. Names of fields and hosts are compared so.
    @inline(__always)
    package var lowercasedASCII: UInt8 { (0x41...0x5A).contains(self) ? self | 0x20 : self }

    /// SP or HTAB, the only characters of optional whitespace (RFC 9110 §5.6.3).
    @inline(__always)
    var isHTTPSpace: Bool { self == ASCII.space || self == ASCII.tab }

    /// A character of a token: a method or a field name (RFC 9110 §5.6.2).
    @inline(__always)
    var isTokenCharacter: Bool {
        // A bit for each of the characters 0-63 and 64-127.
        let low: UInt64 = 0x03FF_6CFA_0000_0000
        let high: UInt64 = 0x57FF_FFFF_C7FF_FFFE
        return self < 0x80 && (self < 0x40 ? low : high) &>> UInt64(self & 0x3F) & 1 != 0
    }

    /// A character of `uri-host [ ":" port ]` (RFC 3986 §3.2.2), without the comma: it would make a list of two hosts.
    @inline(__always)
    var isHostCharacter: Bool {
        let low: UInt64 = 0x2FFF_6FF2_0000_0000
        let high: UInt64 = 0x47FF_FFFE_AFFF_FFFE
        return self < 0x80 && (self < 0x40 ? low : high) &>> UInt64(self & 0x3F) & 1 != 0
    }

    @inline(__always)
    var isDigit: Bool { self &- 0x30 < 10 }

    /// The value of a hexadecimal digit, or nil.
    @inline(__always)
    var hexValue: Int? {
        if isDigit { return Int(self &- 0x30) }
        let letter = (self | 0x20) &- 0x61
        return letter < 6 ? Int(letter) + 10 : nil
    }

    /// Lower case, for ASCII letters only.
    @inline(__always)
    var lowercased: UInt8 { self &- 0x41 < 26 ? self | 0x20 : self }
}

extension Span<UInt8> {
    @inline(__always)
    func equalsIgnoringCase(_ other: StaticString) -> Bool {
        count == other.utf8CodeUnitCount && other.withUTF8Buffer { equalsIgnoringCase($0.span) }
    }

    @inline(__always)
    func equals(_ other: StaticString) -> Bool {
        guard count == other.utf8CodeUnitCount else { return false }
        return other.withUTF8Buffer { other in
            for index in indices where self[index] != other[index] { return false }
            return true
        }
    }

    /// `range` without optional whitespace at both ends.
    @inline(__always)
    func trimmed(_ range: Range<Int>) -> Range<Int> {
        var (start, end) = (range.lowerBound, range.upperBound)
        while start < end, self[start].isHTTPSpace { start &+= 1 }
        while start < end, self[end &- 1].isHTTPSpace { end &-= 1 }
        return start..<end
    }

    /// Calls `body` with each member of a comma-separated list, without whitespace around it; empty members are skipped
    /// (RFC 9110 §5.6.1).
    @inline(__always)
    func forEachListMember(in range: Range<Int>, _ body: (borrowing Span<UInt8>) -> Void) {
        var start = range.lowerBound
        while start < range.upperBound {
            let end = first(ASCII.comma, from: start, to: range.upperBound)
            let member = trimmed(start..<end)
            if !member.isEmpty { body(extracting(member)) }
            start = end &+ 1
        }
    }

    func copied() -> [UInt8] { withUnsafeBufferPointer { [UInt8]($0) } }
}

extension Span<UInt8> {
    /// One or more digits as a number, or nil if there is anything else or the number is over `Int.max`.
    var decimal: Int? {
        if isEmpty { return nil }
        var value = 0
        for index in indices {
            guard self[index].isDigit else { return nil }
            let (tens, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) = tens.addingReportingOverflow(Int(self[index] &- 0x30))
            if overflow || carry { return nil }
            value = sum
        }
        return value
    }
}
