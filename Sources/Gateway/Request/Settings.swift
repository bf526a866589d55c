package import Translation

/// What a gateway is told at its start.
package final class GatewaySettings: Sendable {
    /// Path of the MCP endpoint.
    package let path: String
    package let door: Door
    /// Whether requests of older revisions go to the backend as they are, rather than being refused.
    package let forwardsLegacyClients: Bool
    /// Whether `MCP-Protocol-Version` may name an older revision than the body.
    package let toleratesOlderVersionHeader: Bool
    /// What the server is told of which clients.
    package let clients: ClientProfiles
    /// The header fields that tell callers apart, and what of them goes to the backend.
    package let callerFields: CallerFields
    /// Whether the subject of a client's certificate tells callers apart, too.
    package let isolatesByCertificate: Bool
    /// The endpoint as clients know it; nil: as they say in `Host`, over `scheme`.
    package let publicURL: PublicURL?
    /// `http`, or `https` where the listener speaks TLS.
    package let scheme: String
    /// The era of the backend; nil to ask it.
    package let era: Era?
    /// Between two of these questions.
    package let probeInterval: Duration
    package let caching: CachePolicy
    /// The longest that any call may take.
    package let requestTimeout: Duration
    /// Bytes of an event stream that may wait for its client before the server has to.
    package let streamBuffer: Int
    /// Whether a tool that says that it may run twice is believed.
    package let trustsAnnotations: Bool
    /// Nesting of a request.
    package let maxDepth: Int
    /// Whether the server may ask clients during a call, if they can be asked.
    package let isInteractive: Bool
    /// Tools whose calls may run again after their replica was lost, whatever the tools say of themselves.
    package let replayedTools: Set<String>
    /// What becomes of calls that servers run as tasks.
    package let tasks: TaskSettings
    /// Sessions that clients open and name.
    package let handles: HandleSettings

    package init(
        path: String, door: Door, forwardsLegacyClients: Bool, callerFields: CallerFields,
        isolatesByCertificate: Bool = false,
        publicURL: PublicURL? = nil, scheme: String = "http",
        era: Era? = .legacy, probeInterval: Duration = .seconds(86400), caching: CachePolicy, requestTimeout: Duration,
        streamBuffer: Int, trustsAnnotations: Bool, maxDepth: Int, isInteractive: Bool = true,
        replayedTools: Set<String> = [], toleratesOlderVersionHeader: Bool = false,
        clients: ClientProfiles = ClientProfiles(DeclarationRules()), tasks: TaskSettings = .off,
        handles: HandleSettings = .off
    ) {
        self.handles = handles
        self.tasks = tasks
        self.toleratesOlderVersionHeader = toleratesOlderVersionHeader
        self.clients = clients
        self.path = path
        self.door = door
        self.forwardsLegacyClients = forwardsLegacyClients
        self.callerFields = callerFields
        self.isolatesByCertificate = isolatesByCertificate
        self.publicURL = publicURL
        self.scheme = scheme
        self.era = era
        self.probeInterval = probeInterval
        self.caching = caching
        self.requestTimeout = requestTimeout
        self.streamBuffer = streamBuffer
        self.trustsAnnotations = trustsAnnotations
        self.maxDepth = maxDepth
        self.isInteractive = isInteractive
        self.replayedTools = replayedTools
    }
}
