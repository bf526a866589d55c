package import Translation

/// What a gateway is told at its start.
package struct GatewaySettings: Sendable {
    /// Path of the MCP endpoint.
    package var path: String
    package var door: Door
    /// Names of the header fields that tell callers apart, in lower case. They go to the backend too.
    package var isolateBy: [String]
    package var caching: CachePolicy
    /// The longest that any call may take.
    package var requestTimeout: Duration
    /// Nesting of a request.
    package var maxDepth: Int

    package init(
        path: String, door: Door, isolateBy: [String], caching: CachePolicy, requestTimeout: Duration, maxDepth: Int
    ) {
        self.path = path
        self.door = door
        self.isolateBy = isolateBy
        self.caching = caching
        self.requestTimeout = requestTimeout
        self.maxDepth = maxDepth
    }
}
