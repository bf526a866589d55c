package import JSONText

/// Methods that 2026-07-28 does not define.
extension Method {
    /// A method that only an extension can have; nil for a name to which a revision gives a meaning between a client and a
    /// server of its own: sent on, it would change the session that Remora keeps, or speak in the name of the server.
    package init?(ofExtension name: JSONValue, in document: JSONDocument) {
        guard let text = document.string(name), !text.isEmpty, !Method.reserved.contains(text),
            !Method.reservedPrefixes.contains(where: { text.hasPrefix($0) })
        else { return nil }
        self = .vendor
    }

    /// Requests of older revisions, and those that a server sends.
    private static let reserved = [
        "initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe", "roots/list",
        "sampling/createMessage", "elicitation/create",
    ]

    /// `rpc.` belongs to JSON-RPC 2.0 (§8), `tasks/` to an extension whose methods are all known.
    private static let reservedPrefixes = ["notifications/", "tasks/", "rpc."]
}
