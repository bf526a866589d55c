import JSONText

/// Documents about authorization, with the backend's own URLs rewritten for clients.
enum AuthorizationMetadata {
    /// Nesting of a document. Only `jwks` is nested at all.
    private static let maxDepth = 32

    /// The backend's metadata of the protected resource, for clients. RFC 9728 §3.3: `resource` must be the URL that
    /// the client used.
    ///
    /// - Parameter always: whether `resource` is replaced even if it is not in the backend's origin.
    /// - Returns: `nil` if the text is no JSON object.
    static func rewriteResource(_ text: [UInt8], _ address: PublicAddress, always: Bool) -> [UInt8]? {
        rewriteObject(text, address) { always && $0 == "resource" ? address.publicURL.url : nil }
    }

    /// The metadata of an authorization server in the backend's origin, for clients. RFC 8414 §3.3: `issuer` must be
    /// the URL by which the client found it.
    ///
    /// - Returns: `nil` if the text is no JSON object.
    static func rewriteServer(_ text: [UInt8], _ address: PublicAddress) -> [UInt8]? {
        rewriteObject(text, address) { _ in nil }
    }

    /// Metadata of the protected resource for a backend of 2025-03-26. That revision has no metadata of the resource, and its
    /// authorization server is in the backend's origin.
    ///
    /// - Parameter server: the metadata of the authorization server. Its issuer is adopted.
    static func resourceMetadata(of server: [UInt8], _ address: PublicAddress) -> [UInt8] {
        let document = try? JSONDocument(server, maxDepth: maxDepth)
        let issuer = document.flatMap { document in
            document.value("issuer", of: document.root, .string).flatMap { document.string($0) }
        }
        var text = Array(#"{"resource":"#.utf8)
        text.appendJSON(address.publicURL.url)
        text.append(contentsOf: #","authorization_servers":["#.utf8)
        text.appendJSON(issuer.map { address.rewriteURL($0) ?? $0 } ?? address.publicURL.origin)
        text.append(contentsOf: "]}".utf8)
        return text
    }

    /// The paths in the backend's origin that a document names, with their routes.
    static func namedPaths(in text: [UInt8], _ address: PublicAddress) -> [(path: String, route: AuthorizationRoute)] {
        guard let document = try? JSONDocument(text, maxDepth: maxDepth), document.root.kind == .object else {
            return []
        }
        var paths: [(path: String, route: AuthorizationRoute)] = []
        for member in document.members(of: document.root) {
            let isServer = document.name(of: member, equals: "authorization_servers")
            guard isServer || isEndpoint(member, in: document) else { continue }
            for value in stringValues(of: member, in: document) {
                guard value.kind == .string, let url = document.string(value), let path = address.backendPath(of: url)
                else {
                    continue
                }
                if !isServer {
                    paths.append((path, .namedEndpoint(path)))
                } else if !path.isEmpty, path != "/" {
                    // OpenID Connect Discovery §4: below the issuer. The path of RFC 8414 is a route without being
                    // named.
                    paths.append(
                        (path + AuthorizationRoute.openIDPath, .serverMetadata(path + AuthorizationRoute.openIDPath)))
                }
            }
        }
        return paths
    }

    /// The paths of the authorization servers in the backend's origin, without a slash at the end.
    static func issuerPaths(in text: [UInt8], _ address: PublicAddress) -> [String] {
        guard let document = try? JSONDocument(text, maxDepth: maxDepth), document.root.kind == .object,
            let servers = document.value("authorization_servers", of: document.root, .array)
        else { return [] }
        return document.elements(of: servers).compactMap { document.string($0) }.compactMap {
            address.backendPath(of: $0)
        }
        .map { $0.hasSuffix("/") ? String($0.dropLast()) : $0 }.filter { AuthorizationRoute.isPlain($0) }
    }

    private static func stringValues(of member: JSONMember, in document: JSONDocument) -> [JSONValue] {
        member.value.kind == .array ? Array(document.elements(of: member.value)) : [member.value]
    }

    /// Whether a member is an endpoint, such as `authorization_endpoint`, or the keys (RFC 8414 §2).
    private static func isEndpoint(_ member: JSONMember, in document: JSONDocument) -> Bool {
        let name = document.name(of: member)
        return name == "jwks_uri" || name.hasSuffix("_endpoint")
    }

    /// Whether a member identifies its server. Clients compare it with the URL of the document.
    private static func isIdentity(_ member: JSONMember, in document: JSONDocument) -> Bool {
        document.name(of: member, equals: "resource") || document.name(of: member, equals: "issuer")
            || document.name(of: member, equals: "authorization_servers")
    }

    /// The object with the backend's URLs rewritten, as far as Remora serves them. It serves no pages for people.
    private static func rewriteObject(
        _ text: [UInt8], _ address: PublicAddress, fixed: (String?) -> String?
    ) -> [UInt8]? {
        guard let document = try? JSONDocument(text, maxDepth: maxDepth), document.root.kind == .object else {
            return nil
        }
        var splice = JSONSplice(document)
        for member in document.members(of: document.root) {
            guard isIdentity(member, in: document) || isEndpoint(member, in: document) else { continue }
            let name = document.name(of: member, equals: "resource") ? "resource" : nil
            for value in stringValues(of: member, in: document) {
                guard value.kind == .string, let old = document.string(value),
                    let new = fixed(name) ?? address.rewriteURL(old)
                else { continue }
                var literal: [UInt8] = []
                literal.appendJSON(new)
                splice.replaceValue(value, with: literal)
            }
        }
        var output: [UInt8] = []
        splice.renderedText(document.root).append(to: &output)
        return output
    }
}
