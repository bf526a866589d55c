extension Configuration {
    /// What the server is told of clients.
    package struct ClientRules: Sendable, Equatable {
        /// The roots that the server gets, whatever its client has: `file` URIs, 64 at most. Empty: clients are asked, if they
        /// can be.
        package var roots: [String]
        /// What of a client's capabilities is declared to the server.
        package var capabilities: [Capability]

        package enum Capability: String, Sendable, CaseIterable {
            /// Everything that the client declares.
            case all
            case elicitation
            case elicitationForm = "elicitation.form"
            case elicitationURL = "elicitation.url"
            case extensions, roots, sampling
            case samplingContext = "sampling.context"
            case samplingTools = "sampling.tools"
        }
    }

    /// The clients of one name.
    package struct Client: Sendable, Equatable {
        /// What they say of themselves in `clientInfo.name`.
        package var name: String
        package var rules: ClientRules
    }
}

extension Configuration.ClientRules {
    /// Of a person's folders; all of them are in one answer.
    private static let maxRoots = 64

    /// - Parameter fallback: what holds where the section does not say it.
    init(_ section: inout Section, like fallback: Self?) {
        // None: only a client knows what its user works on.
        roots = section.listValues("roots", of: .root, default: fallback?.roots ?? [], whole: Self.checkRoots)
        // All: what a client can do is for it to say.
        capabilities = section.listValues(
            "client_capabilities", of: .choice, default: fallback?.capabilities ?? [.all], whole: Self.checkCapabilities
        )
    }

    private static func checkRoots(_ roots: [String]) throws(FormatError) {
        guard roots.count <= maxRoots else { throw FormatError("must have at most \(maxRoots) roots") }
        guard Set(roots).count == roots.count else { throw FormatError("must have each root once") }
    }

    private static func checkCapabilities(_ names: [Capability]) throws(FormatError) {
        guard Set(names).count == names.count else { throw FormatError("must name each capability once") }
        guard !names.contains(.all) || names.count == 1 else {
            throw FormatError("must be all, or the capabilities that are declared, and not both")
        }
    }
}

extension Configuration.Client {
    /// - Parameter backend: what holds where the entry does not say it.
    init?(_ section: inout Section, like backend: Configuration.ClientRules?) {
        let name = section.requiredValue("name", .clientName, example: "name: some-client")
        rules = Configuration.ClientRules(&section, like: backend)
        guard let name else { return nil }
        self.name = name
    }
}

extension Configuration.Client {
    static func checkClients(_ clients: [Self], _ section: Section) {
        for (index, client) in clients.enumerated() where clients[..<index].contains(where: { $0.name == client.name })
        {
            section.refuseValue("clients", "must have each name once: \(client.name.quoted) is there twice")
        }
    }
}

extension Format where Value == String {
    /// What a client calls itself.
    static var clientName: Format {
        Format(.text) { text throws(FormatError) in
            guard !text.isEmpty, text.utf8.count <= 256 else { throw FormatError("must be 1 to 256 bytes long") }
            return text
        }
    }

    /// The URI of a folder or file: 2025-11-25 has no others for roots (client/roots, "Data Types").
    static var root: Format {
        Format(.pattern("^file:///[!-~]*$")) { text throws(FormatError) in
            guard text.hasPrefix("file:///"), text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
                throw FormatError(
                    "must be the URI of a folder, such as file:///srv/data, with a space as %20 and other characters as "
                        + "%XX")
            }
            return text
        }
    }
}
