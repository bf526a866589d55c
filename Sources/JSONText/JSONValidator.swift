/// The one pass over a text: RFC 8259 and UTF-8, with a limit on depth. A long text can be passed in parts.
struct JSONValidator {
    /// A string that has begun in one part and ends in a later one.
    private struct OpenString {
        /// Where its quote is.
        let start: Int
        let isName: Bool
        let isEscaped: Bool
    }

    private(set) var outline: JSONOutline
    private let maxDepth: Int
    private var open = ContainerStack()
    /// Where the next part begins.
    private(set) var position = 0
    private var openString: OpenString?
    /// Whether the value of a member is next, whose name is behind us.
    private var isBehindName = false

    /// - Parameters:
    ///   - maxDepth: how many arrays and objects may be inside one another.
    ///   - recording: how many outer levels of objects the outline keeps.
    init(maxDepth: Int, recording: Int) {
        outline = JSONOutline(levels: recording)
        self.maxDepth = maxDepth
    }

    static func makeOutline(
        of text: Span<UInt8>, maxDepth: Int, recording: Int
    ) throws(JSONTextError) -> JSONOutline {
        var validator = JSONValidator(maxDepth: maxDepth, recording: recording)
        _ = try validator.readPart(of: text, until: .max)
        return validator.outline
    }

    /// Goes on with a text up to its end, or to some place behind `stop`. It stops between values, and in strings that are not plain
    /// ASCII: the plain ones are passed at the speed of memory.
    ///
    /// It is put into its two callers: for a text as a whole the compiler leaves out all that is about parts.
    ///
    /// - Returns: whether that was the end.
    @inline(__always)
    mutating func readPart(of text: Span<UInt8>, until stop: Int) throws(JSONTextError) -> Bool {
        var position = position
        if let string = openString.take() {
            let rest = try JSONLexer.readStringPart(text, from: position, until: stop, isEscaped: string.isEscaped)
            guard rest.isWhole else {
                return pauseIn(string.start, isName: string.isName, isEscaped: rest.isEscaped, at: rest.end)
            }
            if string.isName {
                position = try endName(text, string.start..<rest.end, isEscaped: rest.isEscaped)
                isBehindName = true
            } else {
                position = rest.end
                outline.recordScalar(
                    .string, at: string.start..<position, depth: open.depth, isEscaped: rest.isEscaped)
                if try !hasAnotherValue(text, from: &position) { return true }
            }
        }

        while true {
            guard position < stop else {
                self.position = position
                return false
            }
            position = try JSONLexer.nextByte(text, from: position)
            if open.isInObject, !isBehindName {
                guard text[position] == .quote else { throw JSONTextError(.unexpectedByte, at: position) }
                let name = try JSONLexer.readString(text, from: position + 1, until: stop)
                guard name.isWhole else {
                    return pauseIn(position, isName: true, isEscaped: name.isEscaped, at: name.end)
                }
                position = try endName(text, position..<name.end, isEscaped: name.isEscaped)
                position = try JSONLexer.nextByte(text, from: position)
            }
            isBehindName = false
            let start = position
            switch text[start] {
            case .quote:
                let string = try JSONLexer.readString(text, from: start + 1, until: stop)
                guard string.isWhole else {
                    return pauseIn(start, isName: false, isEscaped: string.isEscaped, at: string.end)
                }
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
                guard text[position] == open.closing else { continue }
                position += 1
                outline.containerCloses(at: position, depth: open.depth)
                open.pop()
            default:
                throw JSONTextError(.unexpectedByte, at: start)
            }
            if try !hasAnotherValue(text, from: &position) { return true }
        }
    }

    @inline(__always)
    private mutating func pauseIn(_ start: Int, isName: Bool, isEscaped: Bool, at position: Int) -> Bool {
        openString = OpenString(start: start, isName: isName, isEscaped: isEscaped)
        self.position = position
        return false
    }

    /// A name, with its quotes. Returns what is behind the colon after it.
    @inline(__always)
    private mutating func endName(
        _ text: Span<UInt8>, _ name: Range<Int>, isEscaped: Bool
    ) throws(JSONTextError) -> Int {
        outline.recordMember(
            name: name.lowerBound + 1..<name.upperBound - 1, isEscaped: isEscaped, depth: open.depth)
        let colon = try JSONLexer.nextByte(text, from: name.upperBound)
        guard text[colon] == .colon else { throw JSONTextError(.unexpectedByte, at: colon) }
        return colon + 1
    }

    /// What is behind a value: another one, the end of one container or of several, or the end of the text.
    @inline(__always)
    private mutating func hasAnotherValue(
        _ text: Span<UInt8>, from position: inout Int
    ) throws(JSONTextError) -> Bool {
        while open.depth > 0 {
            position = try JSONLexer.nextByte(text, from: position)
            let byte = text[position]
            position += 1
            if byte == .comma { return true }
            guard byte == open.closing else { throw JSONTextError(.unexpectedByte, at: position - 1) }
            outline.containerCloses(at: position, depth: open.depth)
            open.pop()
        }
        position = JSONLexer.skipWhitespace(text, from: position)
        guard position == text.count else { throw JSONTextError(.trailingBytes, at: position) }
        return false
    }
}
