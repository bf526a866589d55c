extension HTTPFields {
    /// A field line: its name and its value.
    package typealias FieldLine = (name: HTTPFieldValue, value: HTTPFieldValue)

    /// The field lines with this name, in the order received.
    ///
    /// - Parameter lowercased: In lower case.
    package func lines(named lowercased: [UInt8]) -> [FieldLine] {
        guard hasName(as: lowercased.span) else { return [] }
        return lines { $0.count == lowercased.count && $0.startsIgnoringCase(with: lowercased) }
    }

    /// The field lines whose names start so, in the order received.
    ///
    /// - Parameter lowercased: In lower case.
    package func lines(startingWith lowercased: [UInt8]) -> [FieldLine] {
        lines { $0.count >= lowercased.count && $0.startsIgnoringCase(with: lowercased) }
    }

    private func lines(where matches: (borrowing Span<UInt8>) -> Bool) -> [FieldLine] {
        let bytes = head.span
        var found: [FieldLine] = []
        for line in lines where matches(bytes.extracting(line.name)) {
            found.append((HTTPFieldValue(head[line.name]), HTTPFieldValue(head[line.value])))
        }
        return found
    }
}
