extension Configuration {
    /// The legacy MCP server that Remora stands in front of.
    package struct Backend: Sendable, Equatable {
        /// Its Streamable HTTP endpoint.
        package var url: BackendURL
        /// What the hints are worth that its tools give about themselves.
        package var annotations: Annotations

        package enum Annotations: String, Sendable, CaseIterable {
            /// A call of a tool that only reads, or that may run twice, is sent again when its answer was lost.
            case trust
            /// No call is ever sent again.
            case ignore
        }
    }
}

extension Configuration.Backend {
    init?(_ section: inout Section) {
        // No default: a guess would send the clients' credentials to whatever listens there.
        guard let url = section.required("url", .backendURL, example: "url: http://127.0.0.1:9000/mcp") else {
            return nil
        }
        self.url = url
        // Clients must not trust the annotations of servers that they do not trust; a sidecar is deployed with its server.
        annotations = section.value("annotations", .choice, default: .trust)
    }
}
