/// What a line of the log is made of. Each traps if there is no room for it: a line makes room for all that a value can
/// become, whatever is in it, before it writes the value.
extension OutputSpan<UInt8> {
    @inline(__always)
    mutating func append(_ text: StaticString) {
        unsafe append(UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount).span)
    }

    @inline(__always)
    mutating func append(_ bytes: borrowing Span<UInt8>) {
        // A line makes room for what each of its bytes can become at the most, and cuts long values first.
        precondition(bytes.count <= freeCapacity, "a line of the log grew beyond its room")
        unsafe withUnsafeMutableBufferPointer { buffer, count in
            let room = unsafe UnsafeMutableBufferPointer(rebasing: buffer[count...])
            unsafe bytes.withUnsafeBufferPointer { count += unsafe room[..<$0.count].initialize(fromContentsOf: $0) }
        }
    }

    mutating func append(decimal value: Int) {
        if value < 0 { append(UInt8(ascii: "-")) }
        append(decimal: value.magnitude)
    }

    private mutating func append(decimal value: UInt) {
        if value >= 1000 { append(decimal: value / 1000) }
        if value >= 100 { append(digit: value / 100 % 10) }
        if value >= 10 { append(digit: value / 10 % 10) }
        append(digit: value % 10)
    }

    /// Three digits of a number below 1000.
    @inline(__always)
    mutating func append(threeDigitsOf value: UInt) {
        append(digit: value / 100)
        append(digit: value / 10 % 10)
        append(digit: value % 10)
    }

    @inline(__always)
    private mutating func append(digit: UInt) { append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: digit)) }

    /// The first `count` bytes of a UTF-8 text, as they stand between quotes. A line of the log stays one line, and does
    /// nothing to a terminal, whatever a client sends.
    @inline(__always)
    mutating func append(escaping text: Span<UInt8>, first count: Int) {
        var index = 0
        while index < count {
            let byte = text[index]
            if byte < 0x80 {
                append(escaping: byte)
                index += 1
            } else {
                index = append(escapingScalarOf: text, at: index, first: count)
            }
        }
    }

    /// A character outside of ASCII. Returns where the next one starts.
    @inline(never)
    private mutating func append(escapingScalarOf text: Span<UInt8>, at start: Int, first count: Int) -> Int {
        var end = start + 1
        while end < count, text[end] & 0xC0 == 0x80 { end += 1 }
        let length = end - start
        // The lead byte of a character of n bytes has n ones, then a zero; a continuation has six bits.
        var value = length < 7 ? UInt32(text[start]) & (0x7F >> UInt32(length)) : 0
        for index in start + 1..<end { value = value << 6 | UInt32(text[index] & 0x3F) }
        guard (2...4).contains(length), let scalar = Unicode.Scalar(value) else {
            // A string is UTF-8, so this is none.
            append("\u{FFFD}")
            return end
        }
        if scalar.isDeceptive {
            for unit in UTF16.encode(scalar) ?? UTF16.encodedReplacementCharacter { append(escaped: unit) }
        } else {
            append(text.extracting(start..<end))
        }
        return end
    }

    private mutating func append(escaped unit: UInt16) {
        append("\\u")
        for shift in [12, 8, 4, 0] as [UInt16] { append(hexadecimal: UInt8(truncatingIfNeeded: unit >> shift) & 15) }
    }

    @inline(__always)
    private mutating func append(escaping byte: UInt8) {
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"):
            append(UInt8(ascii: "\\"))
            append(byte)
        case 0..<0x20, 0x7F:
            append("\\u00")
            append(hexadecimal: byte >> 4)
            append(hexadecimal: byte & 15)
        default:
            append(byte)
        }
    }

    private mutating func append(hexadecimal digit: UInt8) {
        append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
    }
}
