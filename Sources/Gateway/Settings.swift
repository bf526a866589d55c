package import Translation

/// What a gateway is told at its start.
package final class GatewaySettings: Sendable {
    /// Path of the MCP endpoint.
    package let path: String
    package let door: Door
    /// Names of the header fields that tell callers apart, in lower case. They go to the backend too.
    package let isolateBy: [String]
    package let caching: CachePolicy
    /// The longest that any call may take.
    package let requestTimeout: Duration
    /// Bytes of an event stream that may wait for its client before the server has to.
    package let streamBuffer: Int
    /// Whether a tool that says that it may run twice is believed.
    package let trustsAnnotations: Bool
    /// Nesting of a request.
    package let maxDepth: Int

    package init(
        path: String, door: Door, isolateBy: [String], caching: CachePolicy, requestTimeout: Duration,
        streamBuffer: Int, trustsAnnotations: Bool, maxDepth: Int
    ) {
        self.path = path
        self.door = door
        self.isolateBy = isolateBy
        self.caching = caching
        self.requestTimeout = requestTimeout
        self.streamBuffer = streamBuffer
        self.trustsAnnotations = trustsAnnotations
        self.maxDepth = maxDepth
    }
}
