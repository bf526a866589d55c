/// Changes to one document, of which everything else stays as it is spelled.
///
/// Changes come in any order and may be inside one another: the outer one wins, so that a change inside of a member that
/// is removed or set is not seen. In one object, `setMember` wins over `removeMembers`, and of two `setMember` the later; of two `replaceValue` of
/// one value the first. Nothing is changed at the place of a value of another document.
///
/// ```swift
/// var splice = JSONSplice(answer)
/// splice.remove("inputRequests", "requestState", from: result)
/// splice.set("resultType", to: #""complete""#, in: result, at: .start)
/// var text = splice.rendered(result)
/// ```
package struct JSONSplice: ~Copyable {
    /// Where `setMember` puts a member that the object does not have.
    package enum Position: Sendable {
        case start, end
    }

    let document: JSONDocument

    /// What is new, one after the other; the changes below have places in it.
    private var inserted: [UInt8] = []

    private var replacements: [Replacement] = []
    private var changes: [ObjectChange] = []

    /// No changes yet.
    package init(_ document: JSONDocument) {
        self.document = document
        inserted.reserveCapacity(256)
        changes.reserveCapacity(4)
    }

    /// Puts another text in the place of a value. The text has to be JSON; it is not checked.
    package mutating func replaceValue(_ value: JSONValue, with text: [UInt8]) {
        replaceValue(value, with: text.span)
    }

    private mutating func replaceValue(_ value: JSONValue, with text: Span<UInt8>) {
        guard document.owns(value) else { return }
        let start = inserted.count
        inserted.append(text, 0..<text.count)
        replacements.append(
            Replacement(range: value.range, text: start..<inserted.count, givesWay: true))
    }

    /// Puts another text in the place of a value.
    package mutating func replaceValue(_ value: JSONValue, with text: StaticString) {
        text.withBytes { replaceValue(value, with: $0) }
    }

    /// Removes the members that the predicate picks. Does nothing when the value is not an object.
    package mutating func removeMembers(from object: JSONValue, where predicate: (JSONMember) -> Bool) {
        var members = JSONMembers.Cursor(object, in: document)
        while let member = members.nextMember(in: document) {
            guard predicate(member) else { continue }
            changes.append(
                ObjectChange(object: object, kind: .remove, name: member.name, nameIsEscaped: member.nameIsEscaped))
        }
    }

    /// Removes all members with these names. Does nothing when the value is not an object.
    package mutating func removeMembers(_ names: StaticString..., from object: JSONValue) {
        let document = document
        removeMembers(from: object) { member in
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
    package mutating func setMember(
        _ name: StaticString, to text: [UInt8], in object: JSONValue, at position: Position = .end
    ) {
        name.withBytes { setMember(validUTF8: $0, to: text.span, in: object, at: position) }
    }

    /// ``setMember(_:to:in:at:)`` with a value that is known beforehand.
    package mutating func setMember(
        _ name: StaticString, to text: StaticString, in object: JSONValue, at position: Position = .end
    ) {
        name.withBytes { name in
            text.withBytes { setMember(validUTF8: name, to: $0, in: object, at: position) }
        }
    }

    /// ``setMember(_:to:in:at:)`` with a name that is not known beforehand.
    package mutating func setMember(
        named name: String, to text: [UInt8], in object: JSONValue, at position: Position = .end
    ) {
        setMember(validUTF8: name.utf8.span, to: text.span, in: object, at: position)
    }

    private mutating func setMember(
        validUTF8 name: Span<UInt8>, to text: Span<UInt8>, in object: JSONValue, at position: Position
    ) {
        guard object.kind == .object, document.owns(object) else { return }
        inserted.append(.comma)
        let start = inserted.count + 1
        inserted.appendJSON(validUTF8: name)
        let nameEnd = inserted.count - 1
        inserted.append(.colon)
        inserted.append(text, 0..<text.count)
        changes.append(
            ObjectChange(
                object: object, kind: position == .start ? .addAtStart : .addAtEnd, name: start..<nameEnd,
                nameIsEscaped: nameEnd - start != name.count, end: inserted.count))
        inserted.append(.comma)
    }

    /// The changed text of one value of the document, which may be the root or, say, only the result in an envelope.
    package consuming func renderedText(_ value: JSONValue) -> SplicedText {
        var text = SplicedText(capacity: value.range.count + inserted.count)
        renderValue(value, to: &text)
        return text
    }

    /// Continues a text with the changed text of one value of the document.
    package consuming func renderValue(_ value: JSONValue, to text: inout SplicedText) {
        guard document.owns(value) else { return text.append("null") }
        collectReplacements()
        let bytes = document.bytes
        var position = value.range.lowerBound
        for index in replacements.indices {
            let replacement = replacements[index]
            guard replacement.range.lowerBound >= value.range.lowerBound,
                replacement.range.upperBound <= value.range.upperBound
            else { continue }
            // What is inside of what was replaced is gone.
            guard replacement.range.lowerBound >= position else { continue }
            text.keepRange(position..<replacement.range.lowerBound, of: bytes)
            text.append(inserted.span.extracting(replacement.text))
            position = replacement.range.upperBound
        }
        text.keepRange(position..<value.range.upperBound, of: bytes)
    }

    /// Puts together all that is replaced, in the order of the text.
    private mutating func collectReplacements() {
        changes.sort(by: ObjectChange.isInOrder)
        replacements.reserveCapacity(replacements.count + changes.count + 2)
        var start = 0
        while start < changes.count {
            let object = changes[start].object
            var end = start + 1
            while end < changes.count, changes[end].object.place == object.place { end += 1 }
            appendReplacements(in: object, changes: start..<end)
            start = end
        }
        replacements.sort()
    }

    /// Turns the changes of one object into replacements, with the right commas.
    private mutating func appendReplacements(in object: JSONValue, changes own: Range<Int>) {
        let additions = addedChanges(among: own)
        var nextRemoved = own.lowerBound
        var extent: Range<Int>?
        /// Where the last member that stays ends, and the first one starts that goes and is not followed by one that
        /// stays.
        var kept: Int?
        var gap: Int?

        var members = JSONMembers.Cursor(object, in: document)
        while let member = members.nextMember(in: document) {
            let range = member.range
            extent = (extent?.lowerBound ?? range.lowerBound)..<range.upperBound
            while nextRemoved < additions.lowerBound, changes[nextRemoved].name.lowerBound < member.name.lowerBound {
                nextRemoved += 1
            }
            let isRemoved = nextRemoved < additions.lowerBound && changes[nextRemoved].name == member.name
            let addition = additions.last { matchesName(changes[$0], nameOf: member) }
            if addition.map({ changes[$0].isSettled }) ?? isRemoved {
                gap = gap ?? range.lowerBound
                continue
            }
            if let start = gap {
                replacements.append(Replacement(range: start..<range.lowerBound, text: 0..<0))
                gap = nil
            }
            if let addition {
                replacements.append(Replacement(range: member.value.range, text: changes[addition].value))
                changes[addition].isSettled = true
            }
            kept = range.upperBound
        }
        if let gap, let extent {
            replacements.append(Replacement(range: (kept ?? gap)..<extent.upperBound, text: 0..<0))
        }

        let start = extent?.lowerBound ?? object.range.lowerBound + 1
        appendMissing(additions, at: start, end: extent?.upperBound ?? start, isAlone: kept == nil)
    }

    /// The changes that add, which are the last ones. Those that a later one adds again are settled.
    private mutating func addedChanges(among own: Range<Int>) -> Range<Int> {
        let first = own.first { changes[$0].kind != .remove } ?? own.upperBound
        for index in first..<own.upperBound {
            for later in index + 1..<own.upperBound where haveSameName(changes[index], changes[later]) {
                changes[index].isSettled = true
            }
        }
        return first..<own.upperBound
    }

    private func haveSameName(_ left: ObjectChange, _ right: ObjectChange) -> Bool {
        inserted.span.unescaped(left.name, equals: inserted.span, right.name)
    }

    private func matchesName(_ addition: ObjectChange, nameOf member: JSONMember) -> Bool {
        let text = document.bytes
        if member.nameIsEscaped || addition.nameIsEscaped {
            return text.span.unescaped(member.name, equals: inserted.span, addition.name)
        }
        return member.namePlace.count == addition.name.count
            && text.span.extracting(member.name).isEqual(to: inserted.span.extracting(addition.name))
    }

    /// - Parameter isAlone: whether none of the object's own members stays.
    private mutating func appendMissing(_ additions: Range<Int>, at start: Int, end: Int, isAlone: Bool) {
        var atStart = 0
        for index in additions where !changes[index].isSettled && changes[index].kind == .addAtStart { atStart += 1 }
        var left = atStart
        for index in additions where !changes[index].isSettled && changes[index].kind == .addAtStart {
            left -= 1
            let member = changes[index].member
            let comma = left == 0 && isAlone ? 0 : 1
            replacements.append(
                Replacement(range: start..<start, text: member.lowerBound..<member.upperBound + comma))
        }
        var comma = isAlone && atStart == 0 ? 0 : 1
        for index in additions where !changes[index].isSettled && changes[index].kind == .addAtEnd {
            let member = changes[index].member
            replacements.append(Replacement(range: end..<end, text: member.lowerBound - comma..<member.upperBound))
            comma = 1
        }
    }
}
