extension JSONDocument {
    /// Appends a value in a form that depends on what it says and not on how it is spelled, to compare values or to
    /// hash them: no whitespace, members sorted by the bytes of their names, strings with no escapes but the needed
    /// ones. Numbers stay as they are spelled, so that none loses a digit: `1.0` and `1` differ.
    ///
    /// Goes over the text once, whatever its depth, and calls itself as deep as the document's `maxDepth` allows.
    package func canonical(of value: JSONValue, into out: inout [UInt8]) {
        guard owns(value) else { return out += JSONDocument.null }
        let bytes = bytes
        var position = value.range.lowerBound
        Self.canonical(bytes.span, at: &position, into: &out)
    }

    private static func canonical(_ text: Span<UInt8>, at position: inout Int, into out: inout [UInt8]) {
        switch text[position] {
        case .openBrace:
            object(text, at: &position, into: &out)
        case .openBracket:
            array(text, at: &position, into: &out)
        case .quote:
            _ = string(text, at: &position, into: &out)
        default:
            let end = JSONSkip.scalar(text, from: position)
            out.append(text, position..<end)
            position = end
        }
    }

    private static func array(_ text: Span<UInt8>, at position: inout Int, into out: inout [UInt8]) {
        out.append(.openBracket)
        position = JSONSkip.separators(text, from: position + 1)
        var isFirst = true
        while text[position] != .closeBracket {
            if !isFirst {
                out.append(.comma)
            }
            isFirst = false
            canonical(text, at: &position, into: &out)
            position = JSONSkip.separators(text, from: position)
        }
        position += 1
        out.append(.closeBracket)
    }

    private static func object(_ text: Span<UInt8>, at position: inout Int, into out: inout [UInt8]) {
        out.append(.openBrace)
        position = JSONSkip.separators(text, from: position + 1)
        let start = out.count
        var members: [CanonicalMember] = []
        var isSorted = true
        while text[position] != .closeBrace {
            if !members.isEmpty {
                out.append(.comma)
            }
            let memberStart = out.count
            let name = string(text, at: &position, into: &out)
            out.append(.colon)
            position = JSONSkip.separators(text, from: position)
            canonical(text, at: &position, into: &out)
            position = JSONSkip.separators(text, from: position)
            let member = CanonicalMember(
                prefix: text.unescapedPrefix(name), name: name, written: memberStart..<out.count)
            if let last = members.last, member.precedes(last, in: text) {
                isSorted = false
            }
            members.append(member)
        }
        position += 1

        if !isSorted {
            // Duplicates stay in their order: the sort is stable.
            members.sort { $0.precedes($1, in: text) }
            let written = Array(out[start...])
            out.removeSubrange(start...)
            for (index, member) in members.enumerated() {
                if index > 0 {
                    out.append(.comma)
                }
                out.append(written.span, member.written.lowerBound - start..<member.written.upperBound - start)
            }
        }
        out.append(.closeBrace)
    }

    /// Returns where the inside of the string is.
    private static func string(
        _ text: Span<UInt8>, at position: inout Int, into out: inout [UInt8]
    ) -> Range<Int> {
        let inside = position + 1..<JSONSkip.string(text, from: position).end - 1
        position = inside.upperBound + 1
        out.appendJSON(validUTF8: text.unescaped(inside).span)
        return inside
    }
}

/// A member of an object whose canonical form is being written.
private struct CanonicalMember {
    /// Of the name: it decides nearly every comparison.
    let prefix: UInt64
    /// In the document.
    let name: Range<Int>
    /// In the output.
    let written: Range<Int>

    func precedes(_ other: CanonicalMember, in text: Span<UInt8>) -> Bool {
        prefix == other.prefix ? text.unescaped(name, precedes: other.name) : prefix < other.prefix
    }
}
