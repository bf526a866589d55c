/// The one pass over a text: RFC 8259 and UTF-8, with a limit on depth.
enum JSONValidator {
    /// - Parameters:
    ///   - maxDepth: how many arrays and objects may be inside one another.
    ///   - recording: how many outer levels of objects the outline keeps.
    static func makeOutline(
        of text: Span<UInt8>, maxDepth: Int, recording: Int
    ) throws(JSONTextError) -> JSONOutline {
        var outline = JSONOutline(levels: recording)
        var open = ContainerStack()
        var position = 0

        values: while true {
            position = try JSONLexer.nextByte(text, from: position)
            if open.isInObject {
                position = try readName(text, from: position, depth: open.depth, into: &outline)
                position = try JSONLexer.nextByte(text, from: position)
            }
            let start = position
            switch text[start] {
            case .quote:
                let string = try JSONLexer.readString(text, from: start + 1)
                position = string.end
                outline.recordScalar(.string, at: start..<position, depth: open.depth, isEscaped: string.isEscaped)
            case .minus, .zero ... .nine:
                position = try JSONLexer.readNumber(text, from: start)
                outline.recordScalar(.number, at: start..<position, depth: open.depth)
            case UInt8(ascii: "t"):
                position = try JSONLexer.readLiteral("true", text, from: start)
                outline.recordScalar(.boolean, at: start..<position, depth: open.depth)
            case UInt8(ascii: "f"):
                position = try JSONLexer.readLiteral("false", text, from: start)
                outline.recordScalar(.boolean, at: start..<position, depth: open.depth)
            case UInt8(ascii: "n"):
                position = try JSONLexer.readLiteral("null", text, from: start)
                outline.recordScalar(.null, at: start..<position, depth: open.depth)
            case .openBrace, .openBracket:
                guard open.depth < maxDepth else { throw JSONTextError(.tooDeep, at: start) }
                let isObject = text[start] == .openBrace
                outline.containerOpens(isObject ? .object : .array, at: start, depth: open.depth)
                open.push(isObject: isObject)
                position = try JSONLexer.nextByte(text, from: start + 1)
                guard text[position] == open.closing else { continue values }
                position += 1
                outline.containerCloses(at: position, depth: open.depth)
                open.pop()
            default:
                throw JSONTextError(.unexpectedByte, at: start)
            }

            // After a value: another one, or the end of one container or of several.
            while open.depth > 0 {
                position = try JSONLexer.nextByte(text, from: position)
                let byte = text[position]
                position += 1
                if byte == .comma {
                    continue values
                }
                guard byte == open.closing else { throw JSONTextError(.unexpectedByte, at: position - 1) }
                outline.containerCloses(at: position, depth: open.depth)
                open.pop()
            }

            position = JSONLexer.skipWhitespace(text, from: position)
            guard position == text.count else { throw JSONTextError(.trailingBytes, at: position) }
            return outline
        }
    }

    /// The name of a member and the colon after it.
    @inline(__always)
    private static func readName(
        _ text: Span<UInt8>, from quote: Int, depth: Int, into outline: inout JSONOutline
    ) throws(JSONTextError) -> Int {
        guard text[quote] == .quote else { throw JSONTextError(.unexpectedByte, at: quote) }
        let (end, isEscaped) = try JSONLexer.readString(text, from: quote + 1)
        outline.recordMember(name: quote + 1..<end - 1, isEscaped: isEscaped, depth: depth)
        let colon = try JSONLexer.nextByte(text, from: end)
        guard text[colon] == .colon else { throw JSONTextError(.unexpectedByte, at: colon) }
        return colon + 1
    }
}
