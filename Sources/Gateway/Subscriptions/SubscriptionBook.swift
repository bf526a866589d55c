import Translation

/// Who listens to what, among the subscriptions of one channel. Pure: cues go in, listeners come out.
struct SubscriptionBook {
    /// A listener's number.
    typealias ID = Int

    /// URIs longer than this have no sub-resources here: each `/` of one is a look-up.
    private static let maxNested = 8192

    private var tools: Set<ID> = []
    private var prompts: Set<ID> = []
    private var resources: Set<ID> = []
    private var byURI: [[UInt8]: Set<ID>] = [:]

    /// The listener hears of these from now on, beside what it hears of already.
    mutating func add(_ id: ID, to filter: SubscriptionFilter) {
        if filter.toolsListChanged { tools.insert(id) }
        if filter.promptsListChanged { prompts.insert(id) }
        if filter.resourcesListChanged { resources.insert(id) }
        for uri in filter.resources { byURI[uri, default: []].insert(id) }
    }

    /// The listener hears of this resource no more.
    mutating func remove(_ id: ID, from uri: [UInt8]) {
        byURI[uri]?.remove(id)
        if byURI[uri]?.isEmpty == true { byURI[uri] = nil }
    }

    /// The listener hears of nothing any more.
    mutating func remove(_ id: ID, from filter: SubscriptionFilter) {
        tools.remove(id)
        prompts.remove(id)
        resources.remove(id)
        for uri in filter.resources { remove(id, from: uri) }
    }

    /// Who is to hear of it.
    ///
    /// An update may be of a resource below the one to which somebody listens (server/resources): `a/b` is below `a` and
    /// below `a/`.
    func listeners(to cue: Cue) -> Set<ID> {
        switch cue {
        case .toolsListChanged: tools
        case .promptsListChanged: prompts
        case .resourcesListChanged: resources
        case .resourceUpdated(let uri): listeners(at: uri)
        }
    }

    private func listeners(at uri: [UInt8]) -> Set<ID> {
        var found = byURI[uri] ?? []
        guard !byURI.isEmpty, uri.count <= SubscriptionBook.maxNested else { return found }
        for index in uri.indices where uri[index] == UInt8(ascii: "/") {
            if let outer = byURI[Array(uri[..<index])] { found.formUnion(outer) }
            if index + 1 < uri.count, let outer = byURI[Array(uri[...index])] { found.formUnion(outer) }
        }
        return found
    }

    /// Whether nobody hears of anything.
    var isEmpty: Bool { tools.isEmpty && prompts.isEmpty && resources.isEmpty && byURI.isEmpty }

    /// Every cue that somebody listens to: what may have been missed when the server could not be heard.
    var cues: [Cue] {
        var cues: [Cue] = []
        if !tools.isEmpty { cues.append(.toolsListChanged) }
        if !prompts.isEmpty { cues.append(.promptsListChanged) }
        if !resources.isEmpty { cues.append(.resourcesListChanged) }
        return cues + byURI.keys.map { .resourceUpdated($0) }
    }
}
