/// The calls of a session that have not ended, by their ids. Mostly there is one at a time, which takes no table.
struct OpenCalls {
    private var one: LegacyCall?
    private var others: [Int: LegacyCall] = [:]

    subscript(id: Int) -> LegacyCall? { one?.id == id ? one : others[id] }

    var isEmpty: Bool { one == nil && others.isEmpty }

    /// The only one; nil where there are several.
    var only: LegacyCall? { others.isEmpty ? one : one == nil && others.count == 1 ? others.first?.value : nil }

    /// All of them.
    var all: [LegacyCall] { (one.map { [$0] } ?? []) + others.values }

    mutating func insert(_ call: LegacyCall) {
        if one == nil { one = call } else { others[call.id] = call }
    }

    /// Harmless for one that is not among them.
    mutating func remove(_ call: LegacyCall) {
        if one === call {
            one = nil
        } else if !others.isEmpty {
            others[call.id] = nil
        }
    }
}
