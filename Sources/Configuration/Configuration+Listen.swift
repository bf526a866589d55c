extension Configuration {
    /// Where clients reach Remora, and which of them are let in.
    package struct Listen: Sendable, Equatable {
        /// A numeric IPv4 or IPv6 address without brackets, or `localhost`. `::` stands for all interfaces.
        package var address: String
        /// The TCP port; 0 asks the system for a free one.
        package var port: UInt16
        /// The path of the MCP endpoint: begins with `/`, has neither query nor fragment.
        package var path: String
        /// Origins (RFC 6454 §6.2, in lower case, without a default port) that a browser's request may carry, or `*`
        /// for any. A request without `Origin` does not come from a browser's page and is not measured by this.
        package var allowedOrigins: [String]
        /// Values of `Host` that are let in, in lower case, each with or without a port. Empty: loopback names only
        /// when the address is a loopback one, otherwise any.
        package var allowedHosts: [String]
        /// The endpoint as clients know it; nil: what they write in `Host`, over `http`.
        package var publicURL: PublicURL?
        /// What becomes of clients of a revision before 2026-07-28.
        package var legacyClients: LegacyClients
    }

    package enum LegacyClients: String, Sendable, CaseIterable {
        /// Their requests go to the backend as they are, and its answers back.
        case pass
        /// They are told which revision to speak.
        case refuse
    }
}

extension Configuration.Listen {
    init(_ section: inout Section) {
        // Loopback: what is not meant to be reached from outside is not, until somebody says so.
        let endpoint = section.value("address", .listenAddress, default: ListenAddress(host: "127.0.0.1", port: 8808))
        address = endpoint.host
        port = endpoint.port
        // What the SDKs and their documentation use.
        path = section.value("path", .path, default: "/mcp")
        // None: a page in a browser has no business here until its origin is named (DNS rebinding).
        allowedOrigins = section.list("allowed_origins", of: .origin, default: [])
        // None named: the rule by address, which stops DNS rebinding where it matters and needs no setting elsewhere.
        allowedHosts = section.list("allowed_hosts", of: .host, default: [])
        // From `Host`: right wherever clients reach Remora itself, over plain HTTP.
        publicURL = section.value("public_url", .publicURL, default: nil)
        // Passed: a client that worked with the server yesterday still does with Remora before it.
        legacyClients = section.value("legacy_clients", .choice, default: .pass)
    }
}

/// The URL of an endpoint that others see, which may be that of a proxy before Remora.
package struct PublicURL: Sendable, Equatable {
    /// `scheme://host[:port]`, in lower case, without a default port.
    package var origin: String
    /// Begins with `/`; nil where the URL has none, and `listen.path` stands for it.
    package var path: String?
}

/// `HOST:PORT` as `listen.address` says it.
struct ListenAddress: Equatable {
    let host: String
    let port: UInt16
}
