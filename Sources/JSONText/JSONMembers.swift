/// The members of an object, in the order of the text.
package struct JSONMembers: Sequence, Sendable {
    let document: JSONDocument
    let object: JSONValue

    /// Starts at the first one.
    package func makeIterator() -> Iterator {
        Iterator(document: document, cursor: Cursor(object, in: document))
    }

    /// Where a walk over the members has got to.
    package struct Iterator: IteratorProtocol {
        fileprivate let document: JSONDocument
        fileprivate var cursor: Cursor

        /// The next one, or nil after the last.
        package mutating func next() -> JSONMember? {
            cursor.nextMember(in: document)
        }
    }

    /// An iterator that does not hold on to the document.
    struct Cursor {
        private let isRecorded: Bool
        /// Counts entries of the outline, or else bytes of the text, where `end` is the closing brace.
        private var position: Int
        private let end: Int

        @inline(__always)
        init(_ object: JSONValue, in document: JSONDocument) {
            isRecorded = object.record != nil
            let left =
                if !document.owns(object) {
                    0..<0
                } else if let record = object.record {
                    document.outline.memberEntries(of: object, at: record)
                } else {
                    object.kind == .object ? object.range.dropFirst().dropLast() : 0..<0
                }
            (position, end) = (left.lowerBound, left.upperBound)
        }

        @inline(__always)
        mutating func nextMember(in document: JSONDocument) -> JSONMember? {
            guard position < end else { return nil }
            guard isRecorded else { return nextInText(of: document) }
            let member = document.outline.memberAt(position, of: document.tag)
            position = document.outline.nextEntry(after: position)
            return member
        }

        @inline(never)
        private mutating func nextInText(of document: JSONDocument) -> JSONMember? {
            let bytes = document.bytes
            let member = JSONSkip.nextMember(bytes.span, in: position..<end, of: document.tag)
            position = member?.range.upperBound ?? end
            return member
        }
    }
}
