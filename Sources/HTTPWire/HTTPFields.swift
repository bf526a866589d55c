/// The field lines of a head: the raw bytes of the head and an index into them.
///
/// Names are compared without regard to case, and a lookup allocates nothing. It walks the index, which beats a hash
/// table for the ten or twenty fields that a message has.
package struct HTTPFields: Sendable {
    /// Where one field line is in ``head``: the name and the trimmed value.
    struct Line: Sendable {
        var nameStart: UInt32
        var nameEnd: UInt32
        var valueStart: UInt32
        var valueEnd: UInt32

        var name: Range<Int> { Int(nameStart)..<Int(nameEnd) }
        var value: Range<Int> { Int(valueStart)..<Int(valueEnd) }

        /// Has this line the name, but for the case of letters? Lengths first: they tell most names apart.
        @inline(__always)
        func isNamed(_ name: borrowing Span<UInt8>, in head: borrowing Span<UInt8>) -> Bool {
            Int(nameEnd &- nameStart) == name.count && head.extracting(self.name).equalsIgnoringCase(name)
        }
    }

    /// The whole head with its start line, as received.
    let head: [UInt8]
    let lines: [Line]
    /// A bit for each length that a name has, the last one for all beyond: most fields that are asked for are not there,
    /// nor is one with as long a name.
    let lengths: UInt64

    /// The bit of a length in ``lengths``.
    @inline(__always)
    static func lengthBit(_ length: Int) -> UInt64 { 1 << UInt64(min(length, 63)) }

    @inline(__always)
    func hasName(as long: borrowing Span<UInt8>) -> Bool { lengths & HTTPFields.lengthBit(long.count) != 0 }

    /// How many field lines there are.
    package var count: Int { lines.count }

    /// The value of the first field line with this name.
    package func first(_ name: StaticString) -> HTTPFieldValue? {
        name.withUTF8Buffer { index(of: $0.span) }.map(value)
    }

    /// The value of the first field line with a name that is known only at run time.
    package func first(named name: [UInt8]) -> HTTPFieldValue? {
        index(of: name.span).map(value)
    }

    /// The value of the first field line with a name that is known only at run time.
    package func first(named name: String) -> HTTPFieldValue? {
        index(of: name.utf8.span).map(value)
    }

    /// How many field lines have this name.
    package func count(of name: StaticString) -> Int {
        name.withUTF8Buffer { name in
            let head = head.span
            var count = 0
            for line in lines where line.isNamed(name.span, in: head) { count += 1 }
            return count
        }
    }

    /// Is `token` a member of the comma-separated list in any field line with this name? Case does not matter
    /// (RFC 9110 §5.6.1). Members are compared as a whole: parameters (`;q=1`) are part of them.
    package func containsToken(_ name: StaticString, _ token: StaticString) -> Bool {
        name.withUTF8Buffer { name in
            let head = head.span
            var found = false
            for line in lines where line.isNamed(name.span, in: head) {
                head.forEachListMember(in: line.value) { found = found || $0.equalsIgnoringCase(token) }
            }
            return found
        }
    }

    /// Every field line as name and value, in the order received.
    package func all() -> some RandomAccessCollection<(name: HTTPFieldValue, value: HTTPFieldValue)> {
        lines.indices.lazy.map { (HTTPFieldValue(head[lines[$0].name]), value(at: $0)) }
    }

    private func index(of name: borrowing Span<UInt8>) -> Int? {
        guard hasName(as: name) else { return nil }
        let head = head.span
        for index in lines.indices where lines[index].isNamed(name, in: head) { return index }
        return nil
    }

    private func value(at index: Int) -> HTTPFieldValue { HTTPFieldValue(head[lines[index].value]) }
}

extension HTTPFields: Equatable {
    /// The same field lines in the same order, spelled the same but for the whitespace around values.
    package static func == (left: Self, right: Self) -> Bool {
        left.lines.count == right.lines.count && zip(left.all(), right.all()).allSatisfy { $0 == $1 }
    }
}
