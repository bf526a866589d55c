extension Configuration {
    /// The legacy MCP server that Remora stands in front of.
    package struct Backend: Sendable, Equatable {
        /// Its Streamable HTTP endpoint.
        package var url: BackendURL
    }
}

extension Configuration.Backend {
    init?(_ section: inout Section) {
        // No default: a guess would send the clients' credentials to whatever listens there.
        guard let url = section.required("url", .backendURL, example: "url: http://127.0.0.1:9000/mcp") else {
            return nil
        }
        self.url = url
    }
}
