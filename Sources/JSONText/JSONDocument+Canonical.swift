extension JSONDocument {
    /// Appends a value in a form that depends on what it says and not on how it is spelled, to compare values or to
    /// hash them: no whitespace, members sorted by the bytes of their names, strings with no escapes but the needed
    /// ones. Numbers stay as they are spelled, so that none loses a digit: `1.0` and `1` differ.
    ///
    /// Calls itself as deep as the document is, which its `maxDepth` limits.
    package func canonical(of value: JSONValue, into out: inout [UInt8]) {
        switch value.kind {
        case .object:
            canonicalObject(value, into: &out)
        case .array:
            out.append(.openBracket)
            var isFirst = true
            for element in elements(of: value) {
                if !isFirst {
                    out.append(.comma)
                }
                isFirst = false
                canonical(of: element, into: &out)
            }
            out.append(.closeBracket)
        case .string:
            canonicalString(value.range.dropFirst().dropLast(), into: &out)
        case .number, .boolean, .null:
            out.append(contentsOf: raw(value))
        }
    }

    private func canonicalObject(_ object: JSONValue, into out: inout [UInt8]) {
        let text = bytes.span
        // Duplicates stay, in their order: the sort is stable.
        let members = members(of: object).sorted { text.unescaped($0.name, precedes: $1.name) }
        out.append(.openBrace)
        var isFirst = true
        for member in members {
            if !isFirst {
                out.append(.comma)
            }
            isFirst = false
            canonicalString(member.name, into: &out)
            out.append(.colon)
            canonical(of: member.value, into: &out)
        }
        out.append(.closeBrace)
    }

    private func canonicalString(_ inside: Range<Int>, into out: inout [UInt8]) {
        out.appendJSON(validUTF8: bytes.span.unescaped(inside).span)
    }
}
