/// The UTF-8 bytes that the inside of a string stands for, one at a time and without allocation.
///
/// The text has been validated. A surrogate without its other half, which the grammar allows, reads as U+FFFD.
struct UnescapedBytes {
    private(set) var position: Int
    private let end: Int
    /// What is left of an escape that stands for several bytes.
    private var pending = UTF8.EncodedScalar().makeIterator()

    /// - Parameter range: between the quotes.
    init(_ range: Range<Int>) {
        position = range.lowerBound
        end = range.upperBound
    }

    @inline(__always)
    mutating func nextByte(in text: Span<UInt8>) -> UInt8? {
        if let byte = pending.next() {
            return byte
        }
        guard position < end else { return nil }
        let byte = text[position]
        guard byte == .backslash else {
            position += 1
            return byte
        }
        pending = Self.readEscape(text, at: &position).makeIterator()
        return pending.next()
    }

    /// What the escape at `position` stands for; `position` is moved behind it.
    static func readEscape(_ text: Span<UInt8>, at position: inout Int) -> UTF8.EncodedScalar {
        let letter = text[position + 1]
        position += 2
        let scalar: Unicode.Scalar
        switch letter {
        case UInt8(ascii: "b"): scalar = "\u{8}"
        case UInt8(ascii: "f"): scalar = "\u{C}"
        case UInt8(ascii: "n"): scalar = "\n"
        case UInt8(ascii: "r"): scalar = "\r"
        case UInt8(ascii: "t"): scalar = "\t"
        case UInt8(ascii: "u"): scalar = readHexadecimal(text, at: &position)
        default: scalar = Unicode.Scalar(letter)
        }
        return UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter
    }

    /// Whether the escape at `position` is a surrogate without its other half.
    static func isUnpairedSurrogate(_ text: Span<UInt8>, at position: Int) -> Bool {
        guard text[position + 1] == UInt8(ascii: "u"), codeUnit(text, at: position + 2) & 0xF800 == 0xD800 else {
            return false
        }
        var end = position
        _ = readEscape(text, at: &end)
        // A pair is two escapes.
        return end - position == 6
    }

    private static func readHexadecimal(_ text: Span<UInt8>, at position: inout Int) -> Unicode.Scalar {
        let unit = codeUnit(text, at: position)
        position += 4
        if unit & 0xFC00 == 0xD800, text.count - position >= 6, text[position] == .backslash,
            text[position + 1] == UInt8(ascii: "u")
        {
            let low = codeUnit(text, at: position + 2)
            if low & 0xFC00 == 0xDC00 {
                position += 6
                return Unicode.Scalar(0x10000 + (unit & 0x3FF) << 10 + low & 0x3FF) ?? "\u{FFFD}"
            }
        }
        return Unicode.Scalar(unit) ?? "\u{FFFD}"
    }

    private static func codeUnit(_ text: Span<UInt8>, at position: Int) -> UInt32 {
        var unit: UInt32 = 0
        for index in position..<position + 4 {
            unit = unit << 4 | (text[index].hexadecimalValue ?? 0)
        }
        return unit
    }
}
