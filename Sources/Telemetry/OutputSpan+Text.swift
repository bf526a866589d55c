/// What a line of the log is made of. Each traps if there is no room for it.
extension OutputSpan<UInt8> {
    @inline(__always)
    mutating func append(_ text: StaticString) {
        unsafe append(UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount).span)
    }

    @inline(__always)
    mutating func append(_ bytes: borrowing Span<UInt8>) {
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
        if value >= 10 { append(decimal: value / 10) }
        append(digit: value % 10)
    }

    /// Three digits of a number below 1000.
    mutating func append(milliseconds value: UInt) {
        append(digit: value / 100)
        append(digit: value / 10 % 10)
        append(digit: value % 10)
    }

    private mutating func append(digit: UInt) { append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: digit)) }

    /// The first `count` bytes of a UTF-8 text, as they stand between quotes. A line of the log stays one line, and does
    /// nothing to a terminal, whatever a client sends.
    @inline(__always)
    mutating func append(escaping text: Span<UInt8>, first count: Int) {
        var index = 0
        while index < count {
            let byte = text[index]
            if byte == 0xC2, index + 1 < count, text[index + 1] < 0xA0 {
                // U+0080 to U+009F: control characters of eight bits.
                append("\\u00")
                append(hexadecimal: text[index + 1] >> 4)
                append(hexadecimal: text[index + 1] & 15)
                index += 2
            } else if byte == 0xE2, index + 2 < count, text[index + 1] == 0x80, text[index + 2] & 0xFE == 0xA8 {
                // U+2028 and U+2029: separators of lines and paragraphs.
                append(text[index + 2] == 0xA8 ? "\\u2028" : "\\u2029")
                index += 3
            } else {
                append(escaping: byte)
                index += 1
            }
        }
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
