/// A value's place in its document. It holds no bytes: ask the ``JSONDocument`` that handed it out.
package struct JSONValue: Equatable, Sendable {
    /// Told by the first byte.
    package let kind: JSONKind

    /// The value as it is spelled, without whitespace around it; of a string with its quotes.
    package let range: Range<Int>

    /// Where the outline keeps the members of this object, or nil when they have to be looked for in the text.
    let record: Int?
}
