extension JSONDocument {
    /// Appends a value in a form that depends on what it says and not on how it is spelled, to compare values or to
    /// hash them: no whitespace, members sorted by the bytes of their names, strings with no escapes but the needed
    /// ones. Numbers stay as they are spelled, so that none loses a digit: `1.0` and `1` differ.
    ///
    /// Goes over the text once and copies it once more where members have to be sorted, whatever its depth. Calls itself as
    /// deep as the document's `maxDepth` allows.
    package func appendCanonical(of value: JSONValue, into out: inout [UInt8]) {
        guard owns(value) else { return out += JSONDocument.null }
        let bytes = bytes
        var position = value.range.lowerBound
        var text = CanonicalText()
        swap(&text.bytes, &out)
        let start = text.bytes.count
        Self.appendCanonical(bytes.span, at: &position, into: &text)
        text.sortMembers(from: start)
        swap(&text.bytes, &out)
    }

    private static func appendCanonical(_ text: Span<UInt8>, at position: inout Int, into out: inout CanonicalText) {
        switch text[position] {
        case .openBrace:
            canonicalObject(text, at: &position, into: &out)
        case .openBracket:
            canonicalArray(text, at: &position, into: &out)
        case .quote:
            _ = string(text, at: &position, into: &out)
        default:
            let end = JSONSkip.skipScalar(text, from: position)
            out.bytes.append(text, position..<end)
            position = end
        }
    }

    private static func canonicalArray(_ text: Span<UInt8>, at position: inout Int, into out: inout CanonicalText) {
        out.bytes.append(.openBracket)
        position = JSONSkip.skipSeparators(text, from: position + 1)
        var isFirst = true
        while text[position] != .closeBracket {
            if !isFirst {
                out.bytes.append(.comma)
            }
            isFirst = false
            appendCanonical(text, at: &position, into: &out)
            position = JSONSkip.skipSeparators(text, from: position)
        }
        position += 1
        out.bytes.append(.closeBracket)
    }

    private static func canonicalObject(_ text: Span<UInt8>, at position: inout Int, into out: inout CanonicalText) {
        out.bytes.append(.openBrace)
        position = JSONSkip.skipSeparators(text, from: position + 1)
        let start = out.bytes.count
        var members: [CanonicalMember] = []
        var isSorted = true
        while text[position] != .closeBrace {
            if !members.isEmpty {
                out.bytes.append(.comma)
            }
            let memberStart = out.bytes.count
            let name = string(text, at: &position, into: &out)
            out.bytes.append(.colon)
            position = JSONSkip.skipSeparators(text, from: position)
            appendCanonical(text, at: &position, into: &out)
            position = JSONSkip.skipSeparators(text, from: position)
            let member = CanonicalMember(
                prefix: text.unescapedPrefix(name), name: name, written: memberStart..<out.bytes.count)
            if let last = members.last, member.precedes(last, in: text) {
                isSorted = false
            }
            members.append(member)
        }
        position += 1

        if !isSorted {
            // Duplicates stay in their order: the sort is stable.
            members.sort { $0.precedes($1, in: text) }
            out.unsorted.append(UnsortedObject(area: start - 1..<out.bytes.count, members: members.map(\.written)))
        }
        out.bytes.append(.closeBrace)
    }

    /// Returns where the inside of the string is.
    private static func string(
        _ text: Span<UInt8>, at position: inout Int, into out: inout CanonicalText
    ) -> Range<Int> {
        let inside = position + 1..<JSONSkip.skipString(text, from: position).end - 1
        position = inside.upperBound + 1
        out.bytes.appendJSON(validUTF8: text.unescaped(inside).span)
        return inside
    }
}

/// A canonical text that is being written: objects first have their members in the order of the document.
private struct CanonicalText {
    var bytes: [UInt8] = []
    /// In which members are to be put in order.
    var unsorted: [UnsortedObject] = []

    /// Puts the members of all objects in order, from this position on.
    mutating func sortMembers(from start: Int) {
        guard !unsorted.isEmpty else { return }
        // The outer ones before those that are in them.
        unsorted.sort { $0.area.lowerBound < $1.area.lowerBound }
        let written = bytes
        bytes.removeSubrange(start...)
        appendRange(start..<written.count, of: written.span)
    }

    private mutating func appendRange(_ range: Range<Int>, of written: Span<UInt8>) {
        var position = range.lowerBound
        var index = firstUnsorted(from: position)
        while index < unsorted.count, unsorted[index].area.lowerBound < range.upperBound {
            let object = unsorted[index]
            bytes.append(written, position..<object.area.lowerBound + 1)
            for (index, member) in object.members.enumerated() {
                if index > 0 { bytes.append(.comma) }
                appendRange(member, of: written)
            }
            position = object.area.upperBound
            index = firstUnsorted(from: position)
        }
        bytes.append(written, position..<range.upperBound)
    }

    private func firstUnsorted(from position: Int) -> Int {
        var (low, high) = (0, unsorted.count)
        while low < high {
            let middle = (low + high) / 2
            if unsorted[middle].area.lowerBound < position { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

/// An object whose members have to be put in order.
private struct UnsortedObject {
    /// From its opening brace to before the closing one, in what was written. No member starts where it does.
    let area: Range<Int>
    /// In the order in which they are to be.
    let members: [Range<Int>]
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
