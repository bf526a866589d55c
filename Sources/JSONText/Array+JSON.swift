/// Writing JSON.
extension [UInt8] {
    /// Appends text as it is.
    package mutating func append(_ text: StaticString) {
        text.withBytes { append($0, 0..<$0.count) }
    }

    /// Appends a string literal, with its quotes.
    package mutating func appendJSON(_ string: String) {
        var string = string
        string.withUTF8 { appendJSON(validUTF8: $0.span) }
    }

    /// Appends a string literal of UTF-8 bytes, with its quotes. What is not UTF-8 becomes U+FFFD.
    package mutating func appendJSON(utf8 bytes: ArraySlice<UInt8>) {
        appendJSON(String(decoding: bytes, as: UTF8.self))
    }

    /// Appends an integer.
    package mutating func appendJSON(_ integer: Int) {
        // From the last digit to the first; no integer has more.
        var digits = InlineArray<20, UInt8>(repeating: .zero)
        var first = digits.count
        var rest = integer.magnitude
        repeat {
            first -= 1
            digits[first] = .zero + UInt8(rest % 10)
            rest /= 10
        } while rest > 0
        if integer < 0 { append(.minus) }
        append(digits.span, first..<digits.count)
    }

    /// Escapes what RFC 8259 section 7 wants escaped and nothing else.
    mutating func appendJSON(validUTF8 text: Span<UInt8>) {
        append(.quote)
        var position = 0
        while position < text.count {
            let special = StringSearch.nextEscapable(text, from: position)
            append(text, position..<special)
            position = special
            if position < text.count {
                appendEscaped(text[position])
                position += 1
            }
        }
        append(.quote)
    }

    /// Appends a byte below 0x20, a quote or a backslash as it stands in a string literal.
    mutating func appendEscaped(_ byte: UInt8) {
        switch byte {
        case .quote: append(#"\""#)
        case .backslash: append(#"\\"#)
        case 0x08: append(#"\b"#)
        case 0x09: append(#"\t"#)
        case 0x0A: append(#"\n"#)
        case 0x0C: append(#"\f"#)
        case 0x0D: append(#"\r"#)
        default:
            append(byte < 0x10 ? #"\u000"# : #"\u001"#)
            append(byte & 0xF < 10 ? .zero + byte & 0xF : UInt8(ascii: "a") + byte & 0xF - 10)
        }
    }
}
