extension Configuration {
    /// Where clients reach Remora, and which of them are let in.
    package struct Listen: Sendable, Equatable {
        package var address: ListenAddress
        /// Who may connect to a Unix socket: the bits of its file's mode.
        package var socketMode: UInt32
        /// Nil: clients are spoken to in the clear.
        package var tls: ListenTLS?
        /// The path of the MCP endpoint: begins with `/`, has neither query nor fragment.
        package var path: String
        /// Origins (RFC 6454 §6.2, in lower case, without a default port) that a browser's request may carry, or `*`
        /// for any. A request without `Origin` does not come from a browser's page and is not measured by this.
        package var allowedOrigins: [String]
        /// Values of `Host` that are let in, in lower case, each with or without a port. Empty: loopback names only
        /// when the address is a loopback one, otherwise any.
        package var allowedHosts: [String]
        /// The endpoint as clients know it; nil: what they write in `Host`.
        package var publicURL: PublicURL?
        /// What becomes of clients of a revision before 2026-07-28.
        package var legacyClients: LegacyClients
        /// What clients get wrong, and are let in with.
        package var tolerate: [Tolerance]
    }

    package enum Tolerance: String, Sendable, CaseIterable {
        /// `MCP-Protocol-Version` names an older revision than `_meta`.
        case versionHeader = "version_header"
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
        // Loopback: Remora is not reached from outside until the operator says so.
        address = section.value("address", .listenAddress, default: .tcp(host: "127.0.0.1", port: 8808))
        // Its user and group: the proxy in front of Remora joins the group, and no other user gets in.
        socketMode = section.value("socket_mode", .fileMode, default: 0o660)
        tls = section.readNested("tls") { Configuration.ListenTLS.readSection(&$0) }
        // What the SDKs and their documentation use.
        path = section.value("path", .path, default: "/mcp")
        // None: a page in a browser has no business here until its origin is named (DNS rebinding).
        allowedOrigins = section.listValues("allowed_origins", of: .origin, default: [])
        // None named: the rule by address, which stops DNS rebinding where it matters and needs no setting elsewhere.
        allowedHosts = section.listValues("allowed_hosts", of: .host, default: [])
        // From `Host`: right wherever clients reach Remora itself.
        publicURL = section.value("public_url", .publicURL, default: nil)
        // Passed: a client that worked with the server yesterday still does with Remora before it.
        legacyClients = section.value("legacy_clients", .choice, default: .pass)
        // Nothing: a header that says something else than the body may have led a gateway before Remora astray.
        tolerate = section.listValues("tolerate", of: .choice, default: [])
    }
}

/// The URL of an endpoint that others see, which may be the URL of a proxy in front of Remora.
package struct PublicURL: Sendable, Equatable {
    /// `scheme://host[:port]`, in lower case, without a default port.
    package var origin: String
    /// Begins with `/`; nil where the URL has none, and `listen.path` stands for it.
    package var path: String?
}

/// Where a listener is.
package enum ListenAddress: Sendable, Equatable, CustomStringConvertible {
    /// A numeric IPv4 or IPv6 address without brackets, or `localhost`, in lower case; `::` stands for all interfaces. Port 0
    /// asks the system for a free one.
    case tcp(host: String, port: UInt16)
    /// The absolute path of a Unix socket.
    case unix(path: String)

    /// Whether no two listeners can have these addresses.
    func collides(with other: ListenAddress) -> Bool {
        switch (self, other) {
        case (.unix, .unix): return self == other
        case (.tcp(let host, let port), .tcp(let otherHost, let otherPort)):
            let all = ["0.0.0.0", "::"]
            return port == otherPort && port != 0
                && (host == otherHost || all.contains(host) || all.contains(otherHost))
        case (.unix, .tcp), (.tcp, .unix): return false
        }
    }

    /// For messages.
    package var description: String {
        switch self {
        case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .unix(let path): "unix:\(path)"
        }
    }
}
