/// The elements of an array, in the order of the text.
package struct JSONElements: Sequence, Sendable {
    let document: JSONDocument
    let array: JSONValue

    /// Starts at the first one.
    package func makeIterator() -> Iterator {
        Iterator(document: document, array: array)
    }

    /// Where a walk over the elements has got to.
    package struct Iterator: IteratorProtocol {
        private let document: JSONDocument
        /// The text that is left; it ends before the closing bracket.
        private var left: Range<Int>

        init(document: JSONDocument, array: JSONValue) {
            self.document = document
            left = array.kind == .array && document.owns(array) ? array.range.dropFirst().dropLast() : 0..<0
        }

        /// The next one, or nil after the last.
        package mutating func next() -> JSONValue? {
            let bytes = document.bytes
            guard let value = JSONSkip.nextValue(bytes.span, in: left, of: document.tag) else { return nil }
            left = value.range.upperBound..<left.upperBound
            return value
        }
    }
}
