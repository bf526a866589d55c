/// A member of an object: its name and its value, as places in the document.
package struct JSONMember: Equatable, Sendable {
    let namePlace: TextRange

    /// What is after the colon.
    package let value: JSONValue

    /// The name has a backslash in it, so its bytes are not what it says.
    let nameIsEscaped: Bool

    /// The name between its quotes, as spelled: escapes are not resolved.
    var name: Range<Int> { namePlace.range }

    /// From the opening quote of the name to the end of the value.
    var range: Range<Int> {
        name.lowerBound - 1..<value.range.upperBound
    }
}
