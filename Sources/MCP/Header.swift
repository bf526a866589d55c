/// HTTP header fields of MCP, in the spelling of the specification; they compare without case.
package enum Header {
    package static let protocolVersion: StaticString = "MCP-Protocol-Version"
    package static let method: StaticString = "Mcp-Method"
    package static let name: StaticString = "Mcp-Name"
    /// Until 2025-11-25 only.
    package static let sessionID: StaticString = "Mcp-Session-Id"
    package static let lastEventID: StaticString = "Last-Event-ID"
}
