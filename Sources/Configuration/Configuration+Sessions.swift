extension Configuration {
    /// How the sessions with the backend are kept and who may share one.
    package struct Sessions: Sendable, Equatable {
        /// The request fields whose values together are the principal, in lower case. Requests share a session only where all
        /// of these are equal. `authorization` is among them, unless the server is a command, which no credentials reach: then
        /// the list may be empty, and all callers are one.
        package var isolateBy: [String]
        /// Whether the subject of a client's certificate is part of the principal.
        package var isolatesByCertificate = false
        /// How many sessions may be open to the backend at once, on all threads together: 1 to 100 000.
        package var max: Int
        /// How many of them one principal may have: 1 to 100 000. More than ``max`` is as much as that. Nil: half of ``max``, and
        /// all of it for callers without credentials, as long as there are no others.
        package var maxPerPrincipal: Int?
        /// How long a session that serves no call is kept: 1 second to 24 hours.
        package var idleTimeout: Duration
        /// With whom a session is shared.
        package var shared: Sharing
        /// Whether clients open sessions and name them in their calls.
        package var handles: Handles
        /// How long such a session may be without a call: 1 second to 24 hours.
        package var handleIdleTimeout: Duration
        /// How long it may be open: 1 second to 7 days.
        package var handleMaxAge: Duration
        /// How many of them one principal may have: 1 to 100 000.
        package var maxHandlesPerPrincipal: Int

        package enum Sharing: String, CaseIterable, Sendable {
            /// Each loop of each replica has its own.
            case off
            /// All loops of all replicas have one for each caller, which they find in the store.
            case store
        }

        package enum Handles: String, CaseIterable, Sendable {
            case off
            /// A call without a handle uses a session that its caller's calls share.
            case optional
            /// Each call of a tool has to name one.
            case required
        }
    }
}

extension Configuration.Sessions {
    /// - Parameters:
    ///   - listen: whose clients they are.
    ///   - backend: nil where it is faulty.
    init(_ section: inout Section, listen: Configuration.Listen, backend: Configuration.Backend?) {
        let isWithCommand = if case .command = backend?.place { true } else { false }
        // Authorization always counts: no session may serve two principals. A gateway that tells tenants by a field of
        // its own adds that field here.
        let names = section.listValues("isolate_by", of: .isolation, default: ["authorization"]) {
            names throws(FormatError) in
            try Self.checkIsolation(names, isWithCommand: isWithCommand)
        }
        if names.isEmpty, section.isBlank("isolate_by") {
            // A line whose values were lost must not join callers.
            section.refuseValue(
                "isolate_by", "has no value: write [] if all callers are to share the processes of the command")
        }
        isolateBy = names.filter { $0 != Format.clientCertificate }
        isolatesByCertificate = names.count > isolateBy.count
        if isolatesByCertificate, section.isFaultless, listen.tls?.demandsCertificate != true {
            section.refuseValue(
                "isolate_by", "must not have client_certificate in it where clients show none: set listen.tls.client_ca"
            )
        }
        // A legacy server holds a transport and often a thread or task for each; 64 is what a small one bears.
        max = section.value("max", .integer(1...100_000), default: 64)
        // Half of all: whatever one principal does, others find room. Without credentials all callers are one principal.
        maxPerPrincipal = section.value("max_per_principal", .integer(1...100_000, none: "auto"), default: nil)
        // Long enough that a person's next turn finds the session warm; short enough to hand memory back to a server
        // that never times sessions out itself.
        idleTimeout = section.value("idle_timeout", .duration(.seconds(1) ... .hours(24)), default: .minutes(5))
        // Two more tools, and an argument for each other one, are nothing that a server without state needs.
        handles = section.value("handles", .choice, default: .off)
        // A conversation rests for longer than a session that nobody named: a person reads, and comes back.
        handleIdleTimeout = section.value(
            "handle_idle_timeout", .duration(.seconds(1) ... .hours(24)), default: .minutes(30))
        // A conversation of yesterday is still one; one of last week has lost its session to a restart.
        handleMaxAge = section.value("handle_max_age", .duration(.seconds(1) ... .hours(168)), default: .hours(24))
        // A quarter of the sessions there are by default: models forget to close.
        maxHandlesPerPrincipal = section.value("max_handles_per_principal", .integer(1...100_000), default: 16)
        // One replica needs no store, and what is in one is known to it.
        shared = section.value("shared", .choice, default: .off)
        guard shared == .store, section.isFaultless else { return }
        if isWithCommand {
            section.refuseValue(
                "shared",
                "is for servers at a URL: the session of a command is its process, which no other replica reaches")
        } else if backend?.pinConnection == true {
            section.refuseValue(
                "shared", "cannot go with backends[].pin_connection: no other replica has the connection of a session")
        }
    }

    private static func checkIsolation(_ names: [String], isWithCommand: Bool) throws(FormatError) {
        if names.isEmpty {
            if isWithCommand { return }
            throw FormatError(
                "must have `authorization` in it: a server at a URL gets the caller's credentials with each call; only a "
                    + "command may have []")
        }
        guard names.contains("authorization") else {
            throw FormatError("must have `authorization` in it, since no session may serve two principals")
        }
        guard Set(names).count == names.count else {
            throw FormatError("must name each header once (names are compared without regard to case)")
        }
    }
}
