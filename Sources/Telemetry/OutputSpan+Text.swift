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

    /// A byte of a text between quotes. A line of the log stays one line, whatever a client sends.
    @inline(__always)
    mutating func append(escaping byte: UInt8) {
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
