/// Checks the pieces that JSON is made of. Each function starts at a position in the text and returns the one after
/// the piece.
enum JSONLexer {
    @inline(__always)
    static func skipWhitespace(_ text: Span<UInt8>, from start: Int) -> Int {
        var position = start
        while position < text.count, text[position] <= 0x20, text[position].isJSONWhitespace {
            position += 1
        }
        return position
    }

    /// Where the next byte is that is not whitespace. There has to be one.
    @inline(__always)
    static func nextByte(_ text: Span<UInt8>, from start: Int) throws(JSONTextError) -> Int {
        // Nearly always it is the next byte, or a space is between.
        if start < text.count, text[start] > 0x20 { return start }
        if start + 1 < text.count, text[start] == 0x20, text[start + 1] > 0x20 { return start + 1 }
        let position = skipWhitespace(text, from: start)
        guard position < text.count else { throw JSONTextError(.unexpectedEnd, at: position) }
        return position
    }

    /// What was read of a string. `end` is behind its closing quote if it is whole, else where its rest begins.
    typealias StringPart = (end: Int, isEscaped: Bool, isWhole: Bool)

    /// The rest of a string whose opening quote is behind us.
    ///
    /// - Parameter stop: behind it the string may be left, if it is not plain ASCII.
    @inline(__always)
    static func readString(
        _ text: Span<UInt8>, from start: Int, until stop: Int
    ) throws(JSONTextError) -> StringPart {
        let position = StringSearch.nextSpecial(text, from: start)
        if position < text.count, text[position] == .quote {
            return (position + 1, false, true)
        }
        return try readStringPart(text, from: position, until: stop, isEscaped: false)
    }

    /// A string in which something is not plain ASCII, from a character on.
    ///
    /// - Parameter isEscaped: whether there was an escape before.
    static func readStringPart(
        _ text: Span<UInt8>, from start: Int, until stop: Int, isEscaped: Bool
    ) throws(JSONTextError) -> StringPart {
        var position = start
        var isEscaped = isEscaped
        while position < text.count {
            guard position < stop else { return (position, isEscaped, false) }
            switch text[position] {
            case .quote:
                return (position + 1, isEscaped, true)
            case .backslash:
                isEscaped = true
                position = try readEscape(text, from: position)
            case 0..<0x20:
                throw JSONTextError(.controlCharacter, at: position)
            default:
                position = try readScalars(text, from: position, until: stop)
            }
            position = StringSearch.nextSpecial(text, from: position)
        }
        throw JSONTextError(.unexpectedEnd, at: position)
    }

    private static func readEscape(_ text: Span<UInt8>, from backslash: Int) throws(JSONTextError) -> Int {
        let letter = backslash + 1
        guard letter < text.count else { throw JSONTextError(.unexpectedEnd, at: letter) }
        switch text[letter] {
        case .quote, .backslash, UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"), UInt8(ascii: "n"),
            UInt8(ascii: "r"), UInt8(ascii: "t"):
            return letter + 1
        case UInt8(ascii: "u"):
            for position in letter + 1..<letter + 5 {
                guard position < text.count else { throw JSONTextError(.unexpectedEnd, at: position) }
                guard text[position].hexadecimalValue != nil else {
                    throw JSONTextError(.invalidEscape, at: position)
                }
            }
            return letter + 5
        default:
            throw JSONTextError(.invalidEscape, at: letter)
        }
    }

    /// As many characters outside of ASCII as stand together, before `stop`.
    private static func readScalars(
        _ text: Span<UInt8>, from start: Int, until stop: Int
    ) throws(JSONTextError) -> Int {
        var position = start
        let end = min(text.count, stop)
        while position < end, text[position] >= 0x80 {
            let length = scalarLength(text, at: position)
            guard length != 0 else { throw JSONTextError(.invalidUTF8, at: position) }
            position += length
        }
        return position
    }

    /// How long the character outside of ASCII is that starts here, or 0 when it is malformed (RFC 3629 section 4).
    @inline(__always)
    private static func scalarLength(_ text: Span<UInt8>, at position: Int) -> Int {
        func isContinuation(_ offset: Int) -> Bool {
            text[position + offset] & 0xC0 == 0x80
        }
        let left = text.count - position
        let lead = text[position]
        if lead < 0xE0 {
            return lead >= 0xC2 && left >= 2 && isContinuation(1) ? 2 : 0
        }
        if lead < 0xF0 {
            guard left >= 3, isContinuation(1), isContinuation(2) else { return 0 }
            let second = text[position + 1]
            // E0 followed by 80-9F is overlong, ED followed by A0-BF is a surrogate.
            return lead == 0xE0 && second < 0xA0 || lead == 0xED && second >= 0xA0 ? 0 : 3
        }
        guard lead <= 0xF4, left >= 4, isContinuation(1), isContinuation(2), isContinuation(3) else { return 0 }
        let second = text[position + 1]
        // F0 followed by 80-8F is overlong, F4 followed by 90-BF is beyond U+10FFFF.
        return lead == 0xF0 && second < 0x90 || lead == 0xF4 && second >= 0x90 ? 0 : 4
    }

    /// A number, from its sign or first digit (RFC 8259 section 6).
    @inline(__always)
    static func readNumber(_ text: Span<UInt8>, from start: Int) throws(JSONTextError) -> Int {
        var position = start
        if text[position] == .minus {
            position += 1
        }
        let integer = position
        position = try readDigits(text, from: position)
        if text[integer] == .zero, position - integer > 1 {
            throw JSONTextError(.invalidNumber, at: integer + 1)
        }
        guard position < text.count else { return position }
        if text[position] == .dot {
            position = try readDigits(text, from: position + 1)
            guard position < text.count else { return position }
        }
        if text[position] | 0x20 == UInt8(ascii: "e") {
            position += 1
            if position < text.count, text[position] == .plus || text[position] == .minus {
                position += 1
            }
            position = try readDigits(text, from: position)
        }
        return position
    }

    /// One digit or more.
    @inline(__always)
    private static func readDigits(_ text: Span<UInt8>, from start: Int) throws(JSONTextError) -> Int {
        var position = start
        while position < text.count, text[position].isDigit {
            position += 1
        }
        guard position > start else {
            throw JSONTextError(position == text.count ? .unexpectedEnd : .invalidNumber, at: position)
        }
        return position
    }

    /// `true`, `false` or `null`.
    @inline(__always)
    static func readLiteral(
        _ word: StaticString, _ text: Span<UInt8>, from start: Int
    ) throws(JSONTextError) -> Int {
        for index in 0..<word.utf8CodeUnitCount {
            guard start + index < text.count else { throw JSONTextError(.unexpectedEnd, at: start + index) }
            guard text[start + index] == word.utf8Start[index] else {
                throw JSONTextError(.unexpectedByte, at: start + index)
            }
        }
        return start + word.utf8CodeUnitCount
    }
}
