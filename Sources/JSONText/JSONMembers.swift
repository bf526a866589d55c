/// The members of an object, in the order of the text.
package struct JSONMembers: Sequence, Sendable {
    let document: JSONDocument
    let object: JSONValue

    /// Starts at the first one.
    package func makeIterator() -> Iterator {
        Iterator(document: document, object: object)
    }

    /// Where a walk over the members has got to.
    package struct Iterator: IteratorProtocol {
        private let document: JSONDocument
        private var cursor: Cursor

        private enum Cursor {
            /// The entries of the outline that are left.
            case recorded(Range<Int>)
            /// The text that is left; it ends before the closing brace.
            case text(Range<Int>)
        }

        init(document: JSONDocument, object: JSONValue) {
            self.document = document
            if let record = object.record {
                let entry = document.outline.entries[record]
                precondition(entry.value == object.range, "the value is of another document")
                cursor = .recorded(record + 1..<entry.next)
            } else {
                cursor = .text(object.kind == .object ? object.range.dropFirst().dropLast() : 0..<0)
            }
        }

        /// The next one, or nil after the last.
        package mutating func next() -> JSONMember? {
            switch cursor {
            case .recorded(let left):
                guard let index = left.first else { return nil }
                cursor = .recorded(document.outline.entries[index].next..<left.upperBound)
                return document.outline.member(index)
            case .text(let left):
                let bytes = document.bytes
                guard let member = JSONSkip.member(bytes.span, in: left) else { return nil }
                cursor = .text(member.range.upperBound..<left.upperBound)
                return member
            }
        }
    }
}
