/// The one pass over a text: RFC 8259 and UTF-8, with a limit on depth.
enum JSONValidator {
    /// - Parameters:
    ///   - maxDepth: how many arrays and objects may be inside one another.
    ///   - recording: how many outer levels of objects the outline keeps.
    static func outline(
        of text: Span<UInt8>, maxDepth: Int, recording: Int
    ) throws(JSONTextError) -> JSONOutline {
        var outline = JSONOutline(levels: recording)
        var open = ContainerStack()
        var position = 0

        values: while true {
            position = try JSONLexer.nextByte(text, from: position)
            if open.isInObject {
                position = try name(text, from: position, depth: open.depth, into: &outline)
                position = try JSONLexer.nextByte(text, from: position)
            }
            let first = text[position]
            guard let kind = JSONKind(firstByte: first) else { throw JSONTextError(.unexpectedByte, at: position) }
            outline.valueBegins(at: position, kind: kind, depth: open.depth)

            switch kind {
            case .string:
                position = try JSONLexer.string(text, from: position + 1).end
            case .number:
                position = try JSONLexer.number(text, from: position)
            case .boolean:
                position = try JSONLexer.literal(first == UInt8(ascii: "t") ? "true" : "false", text, from: position)
            case .null:
                position = try JSONLexer.literal("null", text, from: position)
            case .object, .array:
                guard open.depth < maxDepth else { throw JSONTextError(.tooDeep, at: position) }
                if kind == .object {
                    outline.objectOpens(depth: open.depth)
                }
                open.push(isObject: kind == .object)
                position = try JSONLexer.nextByte(text, from: position + 1)
                guard text[position] == open.closing else { continue values }
                position += 1
                outline.containerCloses(at: position, depth: open.depth)
                open.pop()
            }
            if kind != .object, kind != .array {
                outline.valueEnds(at: position, depth: open.depth)
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
    private static func name(
        _ text: Span<UInt8>, from quote: Int, depth: Int, into outline: inout JSONOutline
    ) throws(JSONTextError) -> Int {
        guard text[quote] == .quote else { throw JSONTextError(.unexpectedByte, at: quote) }
        let (end, isEscaped) = try JSONLexer.string(text, from: quote + 1)
        outline.member(name: quote + 1..<end - 1, isEscaped: isEscaped, depth: depth)
        let colon = try JSONLexer.nextByte(text, from: end)
        guard text[colon] == .colon else { throw JSONTextError(.unexpectedByte, at: colon) }
        return colon + 1
    }
}
