/// What can be spared when room is needed, by who has it, the longest spared first. Each step costs the same however much
/// there is.
struct Spares<Owner: Hashable, Element: Hashable> {
    private var owners: [Element: Owner] = [:]
    private var lines: [Owner: Line<Element>] = [:]
    /// The owners who have so many; none is empty.
    private var sizes: [Int: Line<Owner>] = [:]
    /// The most that any owner has.
    private var most = 0

    var count: Int { owners.count }

    func contains(_ element: Element) -> Bool { owners[element] != nil }

    /// It can be spared from now on. Harmless where it can already.
    mutating func insert(_ element: Element, of owner: Owner) {
        guard owners[element] == nil else { return }
        owners[element] = owner
        let size = lines[owner]?.count ?? 0
        lines[owner, default: Line()].append(element)
        resizeLine(owner, from: size, to: size + 1)
    }

    /// It cannot be spared any more. Harmless where it cannot.
    mutating func remove(_ element: Element) {
        guard let owner = owners.removeValue(forKey: element), let size = lines[owner]?.count else { return }
        lines[owner]?.remove(element)
        if size <= 1 { lines[owner] = nil }
        resizeLine(owner, from: size, to: size - 1)
    }

    private mutating func resizeLine(_ owner: Owner, from before: Int, to now: Int) {
        sizes[before]?.remove(owner)
        if sizes[before]?.isEmpty == true { sizes[before] = nil }
        if now > 0 { sizes[now, default: Line()].append(owner) }
        // One more or one less: another owner may have the next size.
        if now > most || sizes[most] == nil { most = now }
    }

    /// What this owner can spare for the longest time.
    func longestSpare(of owner: Owner) -> Element? { lines[owner]?.first }

    /// The same of the owner that has the most. `nil`: no owner has more than the others.
    var longestOfTheLargest: Element? { sizes[most]?.first.flatMap { lines[$0]?.first } }
}
