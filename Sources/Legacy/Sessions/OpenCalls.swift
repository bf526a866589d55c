/// The calls of a session that have not ended. Each comes and goes, and few are ever looked for by their ids, so there is no table
/// of these.
struct OpenCalls {
    /// In no order. Each knows its place here.
    private(set) var all: [LegacyCall] = []
    /// Theirs, at the same places.
    private var ids: [Int] = []

    subscript(id: Int) -> LegacyCall? { ids.firstIndex(of: id).map { all[$0] } }

    var isEmpty: Bool { all.isEmpty }

    /// The only one; nil where there are several.
    var only: LegacyCall? { all.count == 1 ? all[0] : nil }

    mutating func insertCall(_ call: LegacyCall) {
        call.place = all.count
        all.append(call)
        ids.append(call.id)
    }

    /// Harmless for one that is not among them.
    mutating func removeCall(_ call: LegacyCall) {
        guard let place = call.place.take() else { return }
        let (last, lastID) = (all.removeLast(), ids.removeLast())
        guard last !== call else { return }
        last.place = place
        (all[place], ids[place]) = (last, lastID)
    }
}
