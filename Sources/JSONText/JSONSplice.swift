/// Changes to one document, of which everything else stays as it is spelled.
///
/// Changes come in any order and may be inside one another: the outer one wins, so that a change inside of a member that
/// is removed or set is not seen. In one object, `set` wins over `remove`, and of two `set` the later. To `replace` a
/// value inside of a replaced one, or one twice, is a mistake of the caller and stops the process.
///
/// ```swift
/// var splice = JSONSplice(answer)
/// splice.remove("inputRequests", "requestState", from: result)
/// splice.set("resultType", to: #""complete""#, in: result, at: .start)
/// var text = splice.rendered(result)
/// ```
package struct JSONSplice: ~Copyable {
    /// Where `set` puts a member that the object does not have.
    package enum Position: Sendable {
        case start, end
    }

    let document: JSONDocument

    /// What is new, one after the other; the changes below have places in it.
    private(set) var inserted: [UInt8] = []

    private var replacements: [Replacement] = []
    private var objects: [ObjectChanges] = []

    /// No changes yet.
    package init(_ document: JSONDocument) {
        self.document = document
        inserted.reserveCapacity(256)
    }

    /// Puts another text in the place of a value. The text has to be JSON; it is not checked.
    package mutating func replace(_ value: JSONValue, with text: [UInt8]) {
        replace(value, with: text.span)
    }

    private mutating func replace(_ value: JSONValue, with text: Span<UInt8>) {
        let start = inserted.count
        inserted.append(text, 0..<text.count)
        replacements.append(
            Replacement(range: value.range, text: start..<inserted.count, isExclusive: true))
    }

    /// Puts another text in the place of a value.
    package mutating func replace(_ value: JSONValue, with text: StaticString) {
        text.withUTF8Buffer { replace(value, with: $0.span) }
    }

    /// Removes the members that the predicate picks. Does nothing when the value is not an object.
    package mutating func remove(from object: JSONValue, where predicate: (JSONMember) -> Bool) {
        let index = changes(of: object)
        for member in document.members(of: object) where predicate(member) {
            objects[index].removed.append(member.name.lowerBound)
        }
    }

    /// Removes all members with these names. Does nothing when the value is not an object.
    package mutating func remove(_ names: StaticString..., from object: JSONValue) {
        let document = document
        remove(from: object) { member in
            names.contains { document.name(of: member, equals: $0) }
        }
    }

    /// Gives a member of an object this value, whether the object has one with that name or not. When it has several,
    /// the first gets the value and the others go. Does nothing when the value is not an object.
    ///
    /// - Parameters:
    ///   - name: as it reads; it is escaped as needed.
    ///   - text: has to be JSON; it is not checked.
    ///   - position: where a new member goes. Several at the same end stand in the order in which they were set.
    package mutating func set(
        _ name: StaticString, to text: [UInt8], in object: JSONValue, at position: Position = .end
    ) {
        name.withUTF8Buffer { set(validUTF8: $0.span, to: text.span, in: object, at: position) }
    }

    /// ``set(_:to:in:at:)`` with a value that is known beforehand.
    package mutating func set(
        _ name: StaticString, to text: StaticString, in object: JSONValue, at position: Position = .end
    ) {
        name.withUTF8Buffer { name in
            text.withUTF8Buffer { set(validUTF8: name.span, to: $0.span, in: object, at: position) }
        }
    }

    /// ``set(_:to:in:at:)`` with a name that is not known beforehand.
    package mutating func set(
        named name: String, to text: [UInt8], in object: JSONValue, at position: Position = .end
    ) {
        set(validUTF8: name.utf8.span, to: text.span, in: object, at: position)
    }

    private mutating func set(
        validUTF8 name: Span<UInt8>, to text: Span<UInt8>, in object: JSONValue, at position: Position
    ) {
        guard object.kind == .object else { return }
        let start = inserted.count
        inserted.append(.comma)
        inserted.appendJSON(validUTF8: name)
        let nameEnd = inserted.count - 1
        inserted.append(.colon)
        let valueStart = inserted.count
        inserted.append(text, 0..<text.count)
        let valueEnd = inserted.count
        inserted.append(.comma)

        let addition = ObjectChanges.Addition(
            name: start + 2..<nameEnd, member: start + 1..<valueEnd, value: valueStart..<valueEnd, position: position)
        let index = changes(of: object)
        objects[index].add(addition, inserted: inserted)
    }

    /// The index of an object's changes, which are started when there are none.
    private mutating func changes(of object: JSONValue) -> Int {
        if let index = objects.lastIndex(where: { $0.object.range == object.range }) {
            return index
        }
        objects.append(ObjectChanges(object: object))
        return objects.count - 1
    }

    /// The changed text of one value of the document, which may be the root or, say, only the result in an envelope.
    package consuming func rendered(_ value: JSONValue) -> SplicedText {
        let inserted = inserted
        var all = replacements
        all.reserveCapacity(16)
        for index in objects.indices {
            objects[index].appendReplacements(document: document, inserted: inserted.span, to: &all)
        }
        all.sort()

        var text = SplicedText(source: document.bytes, inserted: inserted)
        var position = value.range.lowerBound
        var previous: Replacement?
        for replacement in all
        where replacement.range.lowerBound >= value.range.lowerBound
            && replacement.range.upperBound <= value.range.upperBound
        {
            guard replacement.range.lowerBound >= position else {
                let isMistake = replacement.isExclusive && previous?.isExclusive == true
                precondition(!isMistake, "a value is replaced twice")
                continue
            }
            text.keep(position..<replacement.range.lowerBound)
            text.insert(replacement.text)
            position = replacement.range.upperBound
            previous = replacement
        }
        text.keep(position..<value.range.upperBound)
        return text
    }
}
