extension Configuration {
    /// The legacy MCP server that Remora stands in front of, or one of its copies.
    package struct Backend: Sendable, Equatable {
        /// Its Streamable HTTP endpoint.
        package var url: BackendURL
        /// Nil where the URL is not `https`.
        package var tls: BackendTLS?
        /// What the hints are worth that its tools give about themselves.
        package var annotations: Annotations
        /// Whether it speaks 2026-07-28 itself.
        package var era: Era
        /// Between two questions about that: 1 second to 168 hours.
        package var probeInterval: Duration
        /// Whether it may ask clients something during calls.
        package var interactive: Bool

        package enum Annotations: String, Sendable, CaseIterable {
            /// A call of a tool that only reads, or that may run twice, is sent again when its answer was lost.
            case trust
            /// No call is ever sent again.
            case ignore
        }
    }

    package enum Era: String, Sendable, CaseIterable {
        /// It is asked.
        case auto
        /// It speaks a revision with sessions, and is never asked.
        case legacy
        /// It speaks 2026-07-28, and is never asked: every request goes to it as it is.
        case modern
    }
}

extension Configuration.Backend {
    /// - Parameter others: the copies before it. What concerns the server and is not given is as in the first of them.
    init?(_ section: inout Section, beside others: [Self]) {
        let first = others.first
        // No default: a guess would send the clients' credentials to whatever listens there.
        let url = section.required("url", .backendURL, example: "url: http://127.0.0.1:9000/mcp")
        tls = section.section("tls") { Configuration.BackendTLS.read(&$0, for: url) }
        // Asked: an upgrade of the server needs no change here then.
        era = section.value("era", .choice, default: first?.era ?? .auto)
        // A day: losses of sessions and failures tell of an upgrade sooner, and a question costs some servers a session.
        probeInterval = section.value(
            "probe_interval", .duration(.seconds(1) ... .hours(168)), default: first?.probeInterval ?? .hours(24))
        // Clients must not trust the annotations of servers that they do not trust; a sidecar is deployed with its server.
        annotations = section.value("annotations", .choice, default: first?.annotations ?? .trust)
        // Most servers never ask, but nobody knows which; to be wrong costs a failed call, a session for each call is cheap.
        interactive = section.value("interactive", .boolean, default: first?.interactive ?? true)
        guard let url else { return nil }
        self.url = url
        check(section, beside: others)
    }

    private func check(_ section: Section, beside others: [Self]) {
        guard let first = others.first else { return }
        if let twin = others.firstIndex(where: { $0.url == url }) {
            section.refuse("url", "must not be that of backends[\(twin)]: each copy of the server is named once")
        }
        let differing = [
            ("era", era != first.era), ("probe_interval", probeInterval != first.probeInterval),
            ("annotations", annotations != first.annotations), ("interactive", interactive != first.interactive),
        ]
        for (key, differs) in differing where differs {
            section.refuse(key, "must be as in backends[0], since all are copies of one server: remove the line")
        }
    }
}
