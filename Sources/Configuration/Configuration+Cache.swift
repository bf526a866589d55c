extension Configuration {
    /// How lists (tools, prompts, resources) are cached, here and by the client.
    package struct Cache: Sendable, Equatable {
        /// How long a list counts as fresh: 0 to 24 hours, 0 turns caching off.
        package var ttl: Duration
        /// What clients are told of who may be given a cached list. Remora itself never shares one.
        package var scope: Scope

        /// Who may be given a cached list.
        package enum Scope: String, Sendable, CaseIterable {
            /// Only the principal for whom it was fetched.
            case `private`
            /// Anybody: only right for a backend that shows every principal the same lists.
            case `public`
        }
    }
}

extension Configuration.Cache {
    init(_ section: inout Section) {
        // Spares the backend a list before every call, and a changed tool shows within half a minute.
        ttl = section.value("ttl", .duration(.zero ... .hours(24)), default: .seconds(30))
        // Private: whether lists differ between principals cannot be seen from outside, and a wrong `public` leaks.
        scope = section.value("scope", .choice, default: .private)
    }
}
