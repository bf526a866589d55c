import Translation

/// Who listens to what, among the subscriptions of one channel. Pure: cues go in, listeners come out.
struct SubscriptionBook {
    /// A listener's number.
    typealias ID = Int

    /// URIs longer than this are below no other here, and none is below more than so many: each of these is a look-up.
    private static let maxNested = 8192
    private static let maxOuter = 64

    private var tools: Set<ID> = []
    private var prompts: Set<ID> = []
    private var resources: Set<ID> = []
    private var byURI: [[UInt8]: Set<ID>] = [:]
    /// How many of the URIs have which hash: what is above another URI is found while that is read once.
    private var hashes: [UInt64: Int] = [:]
    private let seed = UInt64.random(in: .min ... .max)

    /// The listener hears of these from now on, beside what it hears of already.
    mutating func add(_ id: ID, to filter: SubscriptionFilter) {
        if filter.toolsListChanged { tools.insert(id) }
        if filter.promptsListChanged { prompts.insert(id) }
        if filter.resourcesListChanged { resources.insert(id) }
        for uri in filter.resources {
            if byURI[uri] == nil { hashes[hash(of: uri), default: 0] += 1 }
            byURI[uri, default: []].insert(id)
        }
    }

    /// The hash of what was read so far and one byte more (FNV-1a).
    private func hash(_ before: UInt64, _ byte: UInt8) -> UInt64 { (before ^ UInt64(byte)) &* 0x100_0000_01B3 }

    private func hash(of uri: [UInt8]) -> UInt64 { uri.reduce(seed, hash) }

    /// The listener hears of this resource no more.
    mutating func remove(_ id: ID, from uri: [UInt8]) {
        byURI[uri]?.remove(id)
        guard byURI[uri]?.isEmpty == true else { return }
        byURI[uri] = nil
        let hash = hash(of: uri)
        let rest = hashes[hash, default: 1] - 1
        hashes[hash] = rest > 0 ? rest : nil
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
        var hash = seed
        var outer = 0
        func look(_ end: Int) {
            guard hashes[hash] != nil, let above = byURI[Array(uri[..<end])] else { return }
            found.formUnion(above)
            outer += 1
        }
        for (index, byte) in uri.enumerated() {
            let isSlash = byte == UInt8(ascii: "/")
            if isSlash { look(index) }
            hash = self.hash(hash, byte)
            if isSlash, index + 1 < uri.count { look(index + 1) }
            if outer >= SubscriptionBook.maxOuter { break }
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
