/// What a splice does to one object.
struct ObjectChanges {
    /// A member that an object is to have.
    struct Addition {
        /// Where its name is among the inserted bytes: between the quotes.
        var name: Range<Int>
        /// The name, a colon and the value. There is a comma before it and one after it, to be used as needed.
        var member: Range<Int>
        var value: Range<Int>
        var position: JSONSplice.Position
        /// The object has a member of that name, which gets the value.
        var isPresent = false
    }

    let object: JSONValue
    /// Where the names of the members start that go, in no order.
    var removed: [Int] = []
    /// Their names are different.
    private(set) var additions: [Addition] = []

    init(object: JSONValue) {
        self.object = object
    }

    mutating func add(_ addition: Addition, inserted: [UInt8]) {
        let inserted = inserted.span
        additions.removeAll { inserted.unescaped($0.name, equals: inserted, addition.name) }
        additions.append(addition)
    }

    /// Turns the changes into replacements of text, with the right commas.
    mutating func appendReplacements(document: JSONDocument, inserted: Span<UInt8>, to all: inout [Replacement]) {
        var members: Range<Int>?
        /// Where the last member that stays ends, and the first one starts that goes and is not followed by one that
        /// stays.
        var kept: Int?
        var gap: Int?
        let bytes = document.bytes
        let text = bytes.span
        removed.sort()
        var nextRemoved = 0

        for member in document.members(of: object) {
            members = (members?.lowerBound ?? member.range.lowerBound)..<member.range.upperBound
            let addition = additions.firstIndex { text.unescaped(member.name, equals: inserted, $0.name) }
            while nextRemoved < removed.count, removed[nextRemoved] < member.name.lowerBound { nextRemoved += 1 }
            let isRemoved = nextRemoved < removed.count && removed[nextRemoved] == member.name.lowerBound
            if addition.map({ additions[$0].isPresent }) ?? isRemoved {
                gap = gap ?? member.range.lowerBound
                continue
            }
            if let start = gap {
                all.append(Replacement(range: start..<member.range.lowerBound, text: 0..<0))
                gap = nil
            }
            if let addition {
                all.append(Replacement(range: member.value.range, text: additions[addition].value))
                additions[addition].isPresent = true
            }
            kept = member.range.upperBound
        }
        if let gap, let members {
            all.append(Replacement(range: (kept ?? gap)..<members.upperBound, text: 0..<0))
        }

        let start = members?.lowerBound ?? object.range.lowerBound + 1
        appendMissing(at: start, end: members?.upperBound ?? start, isAlone: kept == nil, to: &all)
    }

    /// - Parameter isAlone: whether none of the object's own members stays.
    private func appendMissing(at start: Int, end: Int, isAlone: Bool, to all: inout [Replacement]) {
        var atStart = 0
        for addition in additions where !addition.isPresent && addition.position == .start { atStart += 1 }
        var left = atStart
        for addition in additions where !addition.isPresent && addition.position == .start {
            left -= 1
            let comma = left == 0 && isAlone ? 0 : 1
            all.append(
                Replacement(
                    range: start..<start, text: addition.member.lowerBound..<addition.member.upperBound + comma))
        }
        var comma = isAlone && atStart == 0 ? 0 : 1
        for addition in additions where !addition.isPresent && addition.position == .end {
            all.append(
                Replacement(
                    range: end..<end, text: addition.member.lowerBound - comma..<addition.member.upperBound))
            comma = 1
        }
    }
}
