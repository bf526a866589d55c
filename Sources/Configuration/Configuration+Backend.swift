extension Configuration {
    /// The legacy MCP server that Remora stands in front of, or one of its copies.
    package struct Backend: Sendable, Equatable {
        /// How it is reached.
        package var place: Endpoint
        /// Nil where it is not reached by an `https` URL.
        package var tls: BackendTLS?
        /// What the hints are worth that its tools give about themselves.
        package var annotations: Annotations
        /// Whether it speaks 2026-07-28 itself.
        package var era: Era
        /// Between two questions about that: 1 second to 168 hours.
        package var probeInterval: Duration
        /// Capabilities that it has, though it does not say so in its handshake.
        package var declare: [Capability]
        /// Whether it may ask clients something during calls.
        package var interactive: Bool
        /// Whether each session keeps to a connection of its own.
        package var pinConnection: Bool
        /// Header fields that go to it; none where it is a command.
        package var headers: BackendHeaders
        /// What is declared to it of clients, and which roots it is told.
        package var client: ClientRules
        /// How many calls the server gets at once, on all copies together: 1 to 10 000; nil: any number.
        package var callsAtOnce: Int?

        package enum Endpoint: Sendable, Equatable {
            /// At a URL: its Streamable HTTP endpoint, or its event stream.
            case url(BackendURL, Transport)
            /// As a child for each session.
            case command(Command)

            /// Nil: it is no server at a URL.
            var url: BackendURL? {
                if case .url(let url, _) = self { url } else { nil }
            }
        }

        package enum Transport: String, Sendable, CaseIterable {
            /// It is tried.
            case auto
            /// Streamable HTTP (2025-03-26 and later).
            case http
            /// HTTP with server-sent events (2024-11-05).
            case sse
        }

        /// A program that speaks MCP on its standard streams.
        package struct Command: Sendable, Equatable {
            /// The first is the program. No shell sees them.
            package var arguments: [String]
            /// What its environment has beside the little that every child gets.
            package var environment: [String: String]
            /// Where it runs; nil for where Remora runs.
            package var directory: String?
        }

        /// Nil: it is no server at a URL.
        package var url: BackendURL? { place.url }

        /// What may be shown of it: paths, queries and arguments can hold secrets.
        package var name: String {
            switch place {
            case .url(let url, _): url.origin
            case .command(let command): "stdio:" + (command.arguments[0].split(separator: "/").last ?? "")
            }
        }

        package enum Annotations: String, Sendable, CaseIterable {
            /// A call of a tool that only reads, or that may run twice, is sent again when its answer was lost.
            case trust
            /// No call is ever sent again.
            case ignore
        }
    }

    /// What a server may have.
    package enum Capability: String, Sendable, CaseIterable {
        case tools, prompts, resources, completions, logging
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
    /// - Parameters:
    ///   - others: the copies before it. What concerns the server and is not given is as in the first of them.
    ///   - threads: how many loops there are.
    init?(_ section: inout Section, beside others: [Self], threads: Int) {
        let first = others.first
        let place = Self.readPlace(&section)
        tls = section.readNested("tls") { Configuration.BackendTLS.readSection(&$0, for: place?.url) }
        // Asked: an upgrade of the server needs no change here then.
        era = section.value("era", .choice, default: first?.era ?? .auto)
        // A day: losses of sessions and failures tell of an upgrade sooner, and a question costs some servers a session.
        probeInterval = section.value(
            "probe_interval", .duration(.seconds(1) ... .hours(168)), default: first?.probeInterval ?? .hours(24))
        // None: servers that answer what they do not declare are few, and others do not survive what they do not know.
        declare = section.listValues("declare", of: .choice, default: first?.declare ?? [])
        // Clients must not trust the annotations of servers that they do not trust; a sidecar is deployed with its server.
        annotations = section.value("annotations", .choice, default: first?.annotations ?? .trust)
        // Most balancers go by cookies or addresses, or stand before servers that share their sessions; to be wrong about this
        // one costs connections and the GET stream.
        pinConnection = section.value("pin_connection", .boolean, default: first?.pinConnection ?? false)
        // Most servers never ask, but it is not known which; a wrong guess costs a failed call, a session for each call is cheap.
        interactive = section.value("interactive", .boolean, default: first?.interactive ?? !pinConnection)
        let headers = section.readNested("headers") { Configuration.BackendHeaders(&$0) }
        self.headers = headers == Configuration.BackendHeaders() ? first?.headers ?? headers : headers
        client = Configuration.ClientRules(&section, like: first?.client)
        // Any: nearly all servers serve many calls at once, and a call that waits for its client holds up all others.
        callsAtOnce = section.value(
            "calls_at_once", .integer(1...10_000, none: "any"), default: first?.callsAtOnce)
        if callsAtOnce != nil {
            if threads > 1 {
                section.refuseValue(
                    "calls_at_once",
                    "must be any with more than one thread, each of which counts for itself: set threads: 1")
            }
            if era == .modern {
                section.refuseValue(
                    "calls_at_once", "must be any with era: modern: what goes past the translation is not counted")
            }
        }
        guard let place else { return nil }
        self.place = place
        if case .command = place, headers != Configuration.BackendHeaders() {
            section.refuseValue("headers", "goes with url only: a command has no header")
        }
        if pinConnection { checkPin(section) }
        if case .command = place, era == .modern {
            section.refuseValue(
                "era", "must not be modern with a command: what goes past the translation goes over HTTP")
        }
        if case .url(_, .sse) = place, era == .modern {
            section.refuseValue(
                "transport",
                "must not be sse with era: modern: 2026-07-28 is spoken over Streamable HTTP; remove one of the lines")
        }
        if era == .modern, !declare.isEmpty {
            section.refuseValue(
                "declare", "must not be given with era: modern, whose server answers for itself: remove the line")
        }
        checkSection(section, beside: others)
    }

    private func checkPin(_ section: Section) {
        switch place {
        case .command: return section.refuseValue("pin_connection", "goes with url only")
        case .url(_, .sse):
            section.refuseValue(
                "pin_connection", "must not be true with transport: sse, which has a connection beside its stream")
        case .url: break
        }
        if !client.roots.isEmpty {
            section.refuseValue("roots", "must be empty with pin_connection: an answer would need a second connection")
        }
        if interactive {
            section.refuseValue(
                "interactive", "must not be true with pin_connection: an answer would need a second connection")
        }
    }

    private func checkSection(_ section: Section, beside others: [Self]) {
        guard let first = others.first else { return }
        for place in [place, first.place] {
            guard case .command = place else { continue }
            return section.refuseValue("command", "must be alone: it is a process for each session, and needs no copy")
        }
        if let twin = others.firstIndex(where: { $0.url == url }) {
            section.refuseValue("url", "must not be that of backends[\(twin)]: each copy of the server is named once")
        }
        let differing = [
            ("era", era != first.era), ("probe_interval", probeInterval != first.probeInterval),
            ("annotations", annotations != first.annotations), ("declare", declare != first.declare),
            ("interactive", interactive != first.interactive),
            ("pin_connection", pinConnection != first.pinConnection), ("headers", headers != first.headers),
            ("roots", client.roots != first.client.roots),
            ("client_capabilities", client.capabilities != first.client.capabilities),
            ("calls_at_once", callsAtOnce != first.callsAtOnce),
        ]
        for (key, differs) in differing where differs {
            section.refuseValue(key, "must be as in backends[0], since all are copies of one server: remove the line")
        }
    }
}

extension Configuration.Backend {
    private static func readPlace(_ section: inout Section) -> Endpoint? {
        // None: it is the other way to reach a server.
        let arguments = section.listValues("command", of: .argument, default: []) { arguments throws(FormatError) in
            if arguments.first?.isEmpty == true { throw FormatError("must begin with a program") }
        }
        // Nothing beside what every child gets: Remora's own environment may hold secrets that are not for the server.
        let environment = section.mappingEntries("env", of: .variable, to: .argument)
        // Remora's own.
        let directory = section.value("cwd", .path(of: "directory"), default: nil)
        // Tried: the newer way first, which costs an older server one refused request.
        let transport = section.value("transport", .choice, default: Transport.auto)
        let isFaulty = arguments.isEmpty && section.isGiven("command")
        if arguments.isEmpty, !isFaulty {
            if !environment.isEmpty { section.refuseValue("env", "goes with command only") }
            if directory != nil { section.refuseValue("cwd", "goes with command only") }
            // No default: a guess would send the clients' credentials to whatever listens there.
            return section.requiredValue(
                "url", .backendURL, example: "url: http://127.0.0.1:9000/mcp", unless: "command"
            )
            .map { .url($0, transport) }
        }
        if section.value("url", .given, default: false) {
            section.refuseValue("url", "must not be given with command: a server is reached in one way")
        }
        if transport != .auto { section.refuseValue("transport", "goes with url only") }
        if isFaulty { return nil }
        return .command(
            Command(
                arguments: arguments,
                environment: Dictionary(environment.map { ($0.name, $0.value) }) { _, last in last },
                directory: directory))
    }
}
