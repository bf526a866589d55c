import Translation

/// Who listens to what, among the subscriptions of one channel. Pure: notices go in, subscribers come out.
struct SubscriptionBook {
    /// A subscriber's number.
    typealias ID = Int

    private var tools: Set<ID> = []
    private var prompts: Set<ID> = []
    private var resources: Set<ID> = []
    private var byURI: [[UInt8]: Set<ID>] = [:]
    /// The keys of ``byURI`` in the order of their bytes: those that begin like an updated one are found in one walk over
    /// it.
    private var sorted: [[UInt8]] = []

    /// The subscriber hears of these from now on, beside what it hears of already.
    mutating func addListener(_ id: ID, to filter: SubscriptionFilter) {
        if filter.toolsListChanged { tools.insert(id) }
        if filter.promptsListChanged { prompts.insert(id) }
        if filter.resourcesListChanged { resources.insert(id) }
        let new = filter.resources.filter { byURI[$0] == nil }
        for uri in filter.resources { byURI[uri, default: []].insert(id) }
        mergeURIs(new.sorted { $0.lexicographicallyPrecedes($1) })
    }

    /// Merges URIs, in their order, into the others.
    private mutating func mergeURIs(_ new: [[UInt8]]) {
        // Of few, each finds its place by itself.
        if new.count <= 16 {
            for uri in new {
                let index = sorted.partition(at: uri)
                if index == sorted.count || sorted[index] != uri { sorted.insert(uri, at: index) }
            }
            return
        }
        var merged: [[UInt8]] = []
        merged.reserveCapacity(sorted.count + new.count)
        var left = sorted[...]
        for uri in new where uri != merged.last {
            let before = left.prefix { $0.lexicographicallyPrecedes(uri) }
            merged += before
            left = left.dropFirst(before.count)
            merged.append(uri)
        }
        sorted = merged + left
    }

    /// The subscriber hears of this resource no more.
    mutating func removeListener(_ id: ID, from uri: [UInt8]) {
        byURI[uri]?.remove(id)
        guard byURI[uri]?.isEmpty == true else { return }
        byURI[uri] = nil
        let index = sorted.partition(at: uri)
        if index < sorted.count, sorted[index] == uri { sorted.remove(at: index) }
    }

    /// The subscriber hears of nothing any more.
    mutating func removeListener(_ id: ID, from filter: SubscriptionFilter) {
        tools.remove(id)
        prompts.remove(id)
        resources.remove(id)
        for uri in filter.resources { removeListener(id, from: uri) }
    }

    /// Who is to hear of it.
    ///
    /// An update may be of a resource below one with a subscriber (server/resources): `a/b` is below `a` and below `a/`.
    func subscribers(to notice: ChangeNotice) -> Set<ID> {
        switch notice {
        case .toolsListChanged: tools
        case .promptsListChanged: prompts
        case .resourcesListChanged: resources
        case .resourceUpdated(let uri): subscribers(at: uri)
        }
    }

    private func subscribers(at uri: [UInt8]) -> Set<ID> {
        let slash = UInt8(ascii: "/")
        var found = byURI[uri] ?? []
        /// Those that have the bytes up to `index` in common with `uri`; one that has no more comes first.
        var alike = sorted.indices
        for index in uri.indices {
            guard let first = alike.first else { break }
            let endsHere = uri[index] == slash || index > 0 && uri[index - 1] == slash
            if sorted[first].count == index, endsHere, let outer = byURI[sorted[first]] { found.formUnion(outer) }
            alike = sorted.narrowed(alike, to: uri[index], at: index)
        }
        return found
    }

    /// Who listens to a list whose changes are not told any more.
    func listeners(beyond offer: SubscriptionFilter) -> Set<ID> {
        (offer.toolsListChanged ? [] : tools).union(offer.promptsListChanged ? [] : prompts)
            .union(offer.resourcesListChanged ? [] : resources)
    }

    /// Who listens to anything.
    var listeners: Set<ID> { byURI.values.reduce(into: listeners(beyond: SubscriptionFilter())) { $0.formUnion($1) } }

    /// Whether no subscriber hears of anything.
    var isEmpty: Bool { tools.isEmpty && prompts.isEmpty && resources.isEmpty && byURI.isEmpty }

    /// Every notice that has a subscriber: what may have been missed when the server could not be heard.
    var notices: [ChangeNotice] {
        var notices: [ChangeNotice] = []
        if !tools.isEmpty { notices.append(.toolsListChanged) }
        if !prompts.isEmpty { notices.append(.promptsListChanged) }
        if !resources.isEmpty { notices.append(.resourcesListChanged) }
        return notices + byURI.keys.map { .resourceUpdated($0) }
    }
}

extension [[UInt8]] {
    /// Where the URI is in a sorted list, or would be.
    fileprivate func partition(at uri: [UInt8]) -> Int {
        partition(indices) { $0.lexicographicallyPrecedes(uri) }
    }

    /// Of a part of a sorted list that is alike up to `index`, the part that has this byte there.
    fileprivate func narrowed(_ range: Range<Int>, to byte: UInt8, at index: Int) -> Range<Int> {
        // Most often one is left.
        if range.count == 1, let only = range.first, self[only].count > index, self[only][index] == byte {
            return range
        }
        let start = partition(range) { $0.count <= index || $0[index] < byte }
        return start..<partition(start..<range.upperBound) { $0.count <= index || $0[index] <= byte }
    }

    /// The first in a part of the list for which the predicate is false, which is true for those before.
    private func partition(_ range: Range<Int>, by isBefore: ([UInt8]) -> Bool) -> Int {
        var (low, high) = (range.lowerBound, range.upperBound)
        while low < high {
            let middle = (low + high) / 2
            if isBefore(self[middle]) { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
