/// Keys of `_meta` that the specification reserves (2026-07-28, basic/index, "_meta").
package enum MetaKey {
    /// Every key that the protocol keeps for itself begins so.
    package static let protocolPrefix: StaticString = "io.modelcontextprotocol/"

    package static let protocolVersion: StaticString = "io.modelcontextprotocol/protocolVersion"
    package static let clientInfo: StaticString = "io.modelcontextprotocol/clientInfo"
    package static let clientCapabilities: StaticString = "io.modelcontextprotocol/clientCapabilities"
    package static let logLevel: StaticString = "io.modelcontextprotocol/logLevel"
    package static let serverInfo: StaticString = "io.modelcontextprotocol/serverInfo"
    package static let relatedTask: StaticString = "io.modelcontextprotocol/related-task"
    /// Of a trace, as header fields name them too ("OpenTelemetry trace context").
    package static let traceparent: StaticString = "traceparent"
    package static let tracestate: StaticString = "tracestate"
    package static let baggage: StaticString = "baggage"
    package static let progressToken: StaticString = "progressToken"

    /// In a legacy question: the key under which the client is to see it. Remora's own.
    package static let inputKey: StaticString = "dev.remora/inputKey"

    /// In a request: the handle of the session in which it runs. Remora's own.
    package static let sessionHandle: StaticString = "dev.remora/session"

    /// Extensions, as keys of `capabilities.extensions`.
    package static let tasksExtension: StaticString = "io.modelcontextprotocol/tasks"
    package static let skillsExtension: StaticString = "io.modelcontextprotocol/skills"
    /// MCP Apps, which has no methods between client and server.
    package static let appsExtension: StaticString = "io.modelcontextprotocol/ui"
}
