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
    func appendReplacements(document: JSONDocument, inserted: Span<UInt8>, to all: inout [Replacement]) {
        var isPresent = Array(repeating: false, count: additions.count)
        var members: Range<Int>?
        /// Where the last member that stays ends, and the first one starts that goes and is not followed by one that
        /// stays.
        var kept: Int?
        var gap: Int?
        let text = document.bytes.span
        var removed = self.removed.sorted()[...]

        for member in document.members(of: object) {
            members = (members?.lowerBound ?? member.range.lowerBound)..<member.range.upperBound
            let addition = additions.firstIndex { text.unescaped(member.name, equals: inserted, $0.name) }
            removed = removed.drop { $0 < member.name.lowerBound }
            if addition.map({ isPresent[$0] }) ?? (removed.first == member.name.lowerBound) {
                gap = gap ?? member.range.lowerBound
                continue
            }
            if let start = gap {
                all.append(Replacement(range: start..<member.range.lowerBound, text: 0..<0))
                gap = nil
            }
            if let addition {
                all.append(Replacement(range: member.value.range, text: additions[addition].value))
                isPresent[addition] = true
            }
            kept = member.range.upperBound
        }
        if let gap, let members {
            all.append(Replacement(range: (kept ?? gap)..<members.upperBound, text: 0..<0))
        }

        let missing = additions.indices.filter { !isPresent[$0] }.map { additions[$0] }
        let start = object.range.lowerBound + 1
        let atStart = missing.filter { $0.position == .start }
        for (index, addition) in atStart.enumerated() {
            let isLast = index == atStart.count - 1 && kept == nil
            all.append(
                Replacement(
                    range: at(members?.lowerBound ?? start),
                    text: addition.member.lowerBound..<addition.member.upperBound + (isLast ? 0 : 1)))
        }
        for (index, addition) in missing.filter({ $0.position == .end }).enumerated() {
            let isFirst = index == 0 && kept == nil && atStart.isEmpty
            all.append(
                Replacement(
                    range: at(members?.upperBound ?? start),
                    text: addition.member.lowerBound - (isFirst ? 0 : 1)..<addition.member.upperBound))
        }
    }

    private func at(_ position: Int) -> Range<Int> {
        position..<position
    }
}
