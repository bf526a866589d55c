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
            output.append(ASCII.cr)
            output.append(ASCII.lf)
        }
    }

    /// Appends a number that is not negative.
    mutating func append(decimal number: Int) { append(number, radix: 10) }

    /// Appends a number that is not negative, without a prefix.
    mutating func append(hexadecimal number: Int) { append(number, radix: 16) }

    private mutating func append(_ number: Int, radix: Int) {
        precondition(number >= 0, "no field of HTTP has a sign")
        let first = count
        var rest = number
        repeat {
            let digit = UInt8(rest % radix)
            append(digit + (digit < 10 ? 0x30 : 0x57))
            rest /= radix
        } while rest > 0
        self[first...].reverse()
    }
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
}
