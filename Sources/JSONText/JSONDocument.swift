/// A JSON text that is known to be good, with its bytes.
///
/// A text is bytes here, and stays bytes: one pass checks it against RFC 8259 and RFC 3629 and notes where the members
/// of the outer objects are. Values are places in the text, and what is not asked for is not decoded, so that what is
/// not changed can be forwarded byte for byte.
///
/// A ``JSONValue`` and a ``JSONMember`` belong to the document that handed them out, and carry its tag. To every other
/// document they are `null`: no place of one text is looked up in another.
///
/// It is a class because it never changes and is handed around a lot: one reference costs less than the arrays in it.
package final class JSONDocument: Sendable {
    /// The text as it came.
    package let bytes: [UInt8]

    let outline: JSONOutline

    /// Checks a text. Whitespace around the value is fine, a byte order mark is not (RFC 8259 section 8.1).
    ///
    /// - Parameters:
    ///   - maxDepth: how many arrays and objects may be inside one another.
    ///   - recording: how many outer levels of objects are remembered, so that a lookup in them needs no second look at
    ///     the text. Of an object with more than about a thousand members, nothing is remembered.
    package init(_ bytes: [UInt8], maxDepth: Int = 128, recording: Int = 3) throws(JSONTextError) {
        guard bytes.count <= TextRange.maxOffset else { throw JSONTextError(.tooLong, at: TextRange.maxOffset) }
        self.outline = try JSONValidator.makeOutline(of: bytes.span, maxDepth: maxDepth, recording: recording)
        self.bytes = bytes
    }

    init(knownToBeGood bytes: [UInt8], _ outline: JSONOutline) {
        self.bytes = bytes
        self.outline = outline
    }

    /// `{}`
    package static let emptyObject: JSONDocument = {
        var outline = JSONOutline(levels: 1)
        outline.containerOpens(.object, at: 0, depth: 0)
        outline.containerCloses(at: 2, depth: 1)
        return JSONDocument(knownToBeGood: Array("{}".utf8), outline)
    }()

    /// Tells documents apart: some bits of where they are in memory. Two documents of one time that have the same one are a
    /// multiple of 1 MiB apart; to mix up these is beyond any peer, and no place is used without a look at the bounds.
    typealias Tag = UInt16

    /// Of this document.
    @inline(__always)
    var tag: Tag {
        Tag(truncatingIfNeeded: UInt(bitPattern: ObjectIdentifier(self)) >> 4)
    }

    /// Whether this document has handed out the value.
    @inline(__always)
    func owns(_ value: JSONValue) -> Bool {
        value.owner == tag
    }

    /// The whole value.
    package var root: JSONValue {
        outline.valueAt(0, of: tag)
    }

    /// The members of an object in their order, duplicates too; nothing when the value is not an object.
    package func members(of object: JSONValue) -> JSONMembers {
        JSONMembers(document: self, object: object)
    }

    /// The elements of an array in their order; nothing when the value is not an array.
    package func elements(of array: JSONValue) -> JSONElements {
        JSONElements(document: self, array: array)
    }

    /// A value as it is spelled; of a string with its quotes.
    package func raw(_ value: JSONValue) -> ArraySlice<UInt8> {
        owns(value) ? bytes[value.range] : JSONDocument.null[...]
    }

    /// What a value of another document is taken for.
    static let null = Array("null".utf8)

    /// Whether ``raw(_:)`` is this.
    package func isSpelled(_ value: JSONValue, as text: [UInt8]) -> Bool {
        guard owns(value), value.count == text.count else { return false }
        let bytes = bytes
        let span = bytes.span
        return span.extracting(value.range).isEqual(to: text.span)
    }
}
