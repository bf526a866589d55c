extension [UInt8] {
    @inline(__always)
    mutating func append(_ bytes: borrowing Span<UInt8>) {
        bytes.withUnsafeBufferPointer { append(contentsOf: $0) }
    }

    @inline(__always)
    mutating func append(_ text: StaticString) {
        text.withUTF8Buffer { append(contentsOf: $0) }
    }

    /// Appends `name: value` and CRLF, with one look at the capacity for all of it.
    @inline(__always)
    mutating func appendFieldLine(_ name: borrowing Span<UInt8>, _ value: borrowing Span<UInt8>) {
        append(addingCapacity: name.count + value.count + 4) { output in
            output.append(name)
            output.append(ASCII.colon)
            output.append(ASCII.space)
            output.append(value)
            output.appendLineEnd()
        }
    }

    /// Appends `name: value` and CRLF for a number that is not negative.
    @inline(__always)
    mutating func appendFieldLine(_ name: borrowing Span<UInt8>, decimal value: Int) {
        append(addingCapacity: name.count + Int.maxDigits + 4) { output in
            output.append(name)
            output.append(ASCII.colon)
            output.append(ASCII.space)
            output.append(decimal: value)
            output.appendLineEnd()
        }
    }

    /// Appends a number that is not negative.
    mutating func append(decimal number: Int) { append(addingCapacity: Int.maxDigits) { $0.append(decimal: number) } }

    /// Appends a number that is not negative, without a prefix.
    mutating func append(hexadecimal number: Int) {
        append(addingCapacity: Int.maxDigits) { $0.append(hexadecimal: number) }
    }
}

extension Int {
    /// Digits of the largest one.
    fileprivate static var maxDigits: Int { 19 }
}

extension OutputSpan<UInt8> {
    /// Appends bytes for which there is room.
    @inline(__always)
    mutating func append(_ bytes: borrowing Span<UInt8>) {
        withUnsafeMutableBufferPointer { buffer, count in
            let room = UnsafeMutableBufferPointer(rebasing: buffer[count...])
            count += bytes.withUnsafeBufferPointer { room[..<$0.count].initialize(fromContentsOf: $0) }
        }
    }

    /// Appends a text for which there is room.
    @inline(__always)
    mutating func append(_ text: StaticString) { text.withUTF8Buffer { append($0.span) } }

    /// Appends CRLF.
    @inline(__always)
    mutating func appendLineEnd() {
        append(ASCII.cr)
        append(ASCII.lf)
    }

    /// Appends a number that is not negative, for which there is room.
    mutating func append(decimal number: Int) {
        append(decimal: number.magnitude)
    }

    /// No field of HTTP has a sign.
    private mutating func append(decimal number: UInt) {
        if number >= 1000 { append(decimal: number / 1000) }
        if number >= 100 { append(digit: number / 100 % 10) }
        if number >= 10 { append(digit: number / 10 % 10) }
        append(digit: number % 10)
    }

    @inline(__always)
    private mutating func append(digit: UInt) { append(UInt8(truncatingIfNeeded: digit) + 0x30) }

    fileprivate mutating func append(hexadecimal number: Int) {
        append(hexadecimal: number.magnitude)
    }

    /// No chunk has a sign.
    private mutating func append(hexadecimal number: UInt) {
        if number >= 16 { append(hexadecimal: number / 16) }
        let digit = UInt8(truncatingIfNeeded: number % 16)
        append(digit + (digit < 10 ? 0x30 : 0x57))
    }
}
