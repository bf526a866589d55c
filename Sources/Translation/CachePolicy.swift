import MCP

/// What Remora tells clients about keeping a result (2026-07-28, server/utilities/caching).
package struct CachePolicy: Sendable, Equatable {
    package enum Scope: String, Sendable {
        case `private`, `public`
    }

    /// Milliseconds for which discovery and lists count as fresh.
    package let ttlMs: Int
    package let scope: Scope

    package init(ttlMs: Int, scope: Scope) {
        self.ttlMs = ttlMs
        self.scope = scope
    }

    /// The members `ttlMs` and `cacheScope` as JSON; nil where the method's result has none.
    ///
    /// What a resource says may change at any moment and may be one caller's own: it is stale at once and private,
    /// whatever is configured. So is what is said of a single skill.
    func cacheHints(for method: Method) -> (ttlMs: [UInt8], cacheScope: [UInt8])? {
        guard method.isCacheable else { return nil }
        if method == .readResource || method == .getSkill { return (Array("0".utf8), Array("\"private\"".utf8)) }
        return (Array(String(ttlMs).utf8), Array("\"\(scope.rawValue)\"".utf8))
    }
}
