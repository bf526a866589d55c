/// A value's place in its document. It holds no bytes: ask the ``JSONDocument`` that handed it out, which knows its own. To
/// another document, the value is `null`.
package struct JSONValue: Equatable, Sendable {
    let place: TextRange

    /// ``record``, or -1.
    private let recordOrNone: Int32

    /// Told by the first byte.
    package let kind: JSONKind

    /// It is a string and has a backslash in it, so its bytes are not what it says.
    let isEscaped: Bool

    /// Of the document that handed it out.
    let owner: JSONDocument.Tag

    @inline(__always)
    init(kind: JSONKind, place: TextRange, record: Int?, isEscaped: Bool, owner: JSONDocument.Tag) {
        self.owner = owner
        self.isEscaped = isEscaped
        self.kind = kind
        self.place = place
        recordOrNone = record.map { Int32($0) } ?? -1
    }

    /// The value as it is spelled, without whitespace around it; of a string with its quotes.
    var range: Range<Int> { place.range }

    /// How many bytes it is spelled with.
    package var count: Int { place.count }

    /// Where the outline keeps the members of this object, or nil when they have to be looked for in the text.
    var record: Int? {
        recordOrNone >= 0 ? Int(recordOrNone) : nil
    }
}
