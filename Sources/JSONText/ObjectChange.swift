/// One thing that a splice does to one object. Those of all objects are in one array, to be allocated once.
struct ObjectChange {
    enum Kind {
        /// A member goes.
        case remove
        /// The object is to have a member, which goes to the start or to the end if it is new.
        case addAtStart, addAtEnd
    }

    let object: JSONValue
    let kind: Kind

    /// Between the quotes: of a removed member in the document, of an added one among the inserted bytes, where a comma
    /// is before it and, after its value, another, to be used as needed.
    let name: Range<Int>
    let nameIsEscaped: Bool

    /// Where the added member ends.
    var end = 0

    /// The added member needs no place of its own: the object has it, or a later change adds it again.
    var isSettled = false

    /// The name, a colon and the value.
    var member: Range<Int> { name.lowerBound - 1..<end }
    var value: Range<Int> { name.upperBound + 2..<end }
}

extension ObjectChange {
    /// Object by object. In each what is removed comes first, in the order of the text; the sort is stable, so that what
    /// is added stays in the order in which it was set.
    static func isInOrder(_ left: Self, _ right: Self) -> Bool {
        let (leftStart, rightStart) = (left.object.range.lowerBound, right.object.range.lowerBound)
        if leftStart != rightStart { return leftStart < rightStart }
        guard left.kind == .remove else { return false }
        return right.kind != .remove || left.name.lowerBound < right.name.lowerBound
    }
}
