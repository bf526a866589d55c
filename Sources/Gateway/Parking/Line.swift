/// A line in which each has one place, the first at its head, that anybody may leave from wherever he stands: each step costs
/// the same however long the line is.
struct Line<Element: Hashable> {
    private struct Neighbours {
        var before: Element?
        var behind: Element?
    }

    private var places: [Element: Neighbours] = [:]
    private(set) var first: Element?
    private var last: Element?

    var isEmpty: Bool { places.isEmpty }
    var count: Int { places.count }

    func contains(_ element: Element) -> Bool { places[element] != nil }

    /// To the end of the line, unless it stands there already.
    mutating func append(_ element: Element) {
        guard places[element] == nil else { return }
        places[element] = Neighbours(before: last, behind: nil)
        if let last { places[last]?.behind = element } else { first = element }
        last = element
    }

    /// Harmless for one that is not there.
    mutating func remove(_ element: Element) {
        guard let neighbours = places.removeValue(forKey: element) else { return }
        if let before = neighbours.before {
            places[before]?.behind = neighbours.behind
        } else {
            first = neighbours.behind
        }
        if let behind = neighbours.behind {
            places[behind]?.before = neighbours.before
        } else {
            last = neighbours.before
        }
    }
}
