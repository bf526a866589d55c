/// Steps over pieces of text that has been validated: no rule is checked again, yet no step leaves the text.
enum JSONSkip {
    /// The position after the string whose opening quote is at `start`.
    @inline(__always)
    static func skipString(_ text: Span<UInt8>, from start: Int) -> (end: Int, isEscaped: Bool) {
        var position = StringSearch.quoteOrBackslash(text, from: start + 1)
        var isEscaped = false
        while position < text.count, text[position] == .backslash {
            isEscaped = true
            position = StringSearch.quoteOrBackslash(text, from: min(position + 2, text.count))
        }
        return (min(position + 1, text.count), isEscaped)
    }

    /// The next member of an object, of which `range` is left; nil when nothing is.
    static func nextMember(_ text: Span<UInt8>, in range: Range<Int>, of document: JSONDocument.Tag) -> JSONMember? {
        let quote = skipSeparators(text, from: range.lowerBound)
        guard quote < range.upperBound else { return nil }
        let (nameEnd, isEscaped) = skipString(text, from: quote)
        guard let value = nextValue(text, in: nameEnd..<range.upperBound, of: document) else { return nil }
        return JSONMember(namePlace: TextRange(quote + 1..<nameEnd - 1), value: value, nameIsEscaped: isEscaped)
    }

    /// The next value in `range`; nil when there is none.
    static func nextValue(_ text: Span<UInt8>, in range: Range<Int>, of document: JSONDocument.Tag) -> JSONValue? {
        let position = skipSeparators(text, from: range.lowerBound)
        guard position < range.upperBound, let kind = JSONKind(firstByte: text[position]) else { return nil }
        let (end, isEscaped) = skipValue(text, from: position)
        return JSONValue(
            kind: kind, place: TextRange(position..<end), record: nil, isEscaped: isEscaped, owner: document)
    }

    /// The position of the next name, value or closing bracket: after whitespace, a comma or a colon.
    @inline(__always)
    static func skipSeparators(_ text: Span<UInt8>, from start: Int) -> Int {
        var position = start
        while position < text.count,
            text[position] == .comma || text[position] == .colon || text[position].isJSONWhitespace
        {
            position += 1
        }
        return position
    }

    /// The position after the value that starts at `start`, and whether that is a string with escapes.
    static func skipValue(_ text: Span<UInt8>, from start: Int) -> (end: Int, isEscaped: Bool) {
        switch text[start] {
        case .quote: skipString(text, from: start)
        case .openBrace, .openBracket: (skipContainer(text, from: start), false)
        default: (skipScalar(text, from: start), false)
        }
    }

    /// The position after the number or literal that starts at `start`.
    static func skipScalar(_ text: Span<UInt8>, from start: Int) -> Int {
        var position = start
        while position < text.count {
            switch text[position] {
            case .comma, .closeBrace, .closeBracket, 0...0x20: return position
            default: position += 1
            }
        }
        return position
    }

    private static func skipContainer(_ text: Span<UInt8>, from start: Int) -> Int {
        var position = start
        var depth = 0
        while position < text.count {
            switch text[position] {
            case .quote:
                position = skipString(text, from: position).end
                continue
            case .openBrace, .openBracket:
                depth += 1
            case .closeBrace, .closeBracket:
                depth -= 1
                if depth == 0 {
                    return position + 1
                }
            default:
                break
            }
            position += 1
        }
        return position
    }
}
