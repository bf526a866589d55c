/// The paths beside the MCP endpoint that clients need in order to be let in (2026-07-28, basic/authorization/index and
/// authorization-server-discovery; 2025-03-26, basic/authorization).
enum AuthorizationRoute: Equatable {
    /// The metadata of the protected resource (RFC 9728): the backend's paths to try, in this order.
    case resourceMetadata([String])
    /// The metadata of an authorization server in the backend's own origin (RFC 8414, OpenID Connect Discovery).
    case serverMetadata(String)
    /// An endpoint of such a server, at the place where 2025-03-26 has it.
    case endpoint(String)
    /// An endpoint that the metadata of such a server names.
    case namedEndpoint(String)

    static let resourcePath = "/.well-known/oauth-protected-resource"
    static let serverPath = "/.well-known/oauth-authorization-server"
    static let openIDPath = "/.well-known/openid-configuration"
    private static let endpoints = ["/authorize", "/token", "/register"]

    /// The path of an endpoint; nil of a document.
    var endpointPath: String? {
        switch self {
        case .endpoint(let path), .namedEndpoint(let path): path
        case .resourceMetadata, .serverMetadata: nil
        }
    }

    /// What a path stands for; nil for every other one.
    ///
    /// - Parameters:
    ///   - publicPaths: paths by which clients know the MCP endpoint.
    ///   - backendPath: path by which the backend knows it.
    init?(_ path: ArraySlice<UInt8>, publicPaths: [String], backendPath: String) {
        let isBelow = publicPaths.contains { path.elementsEqual(($0 + AuthorizationRoute.resourcePath).utf8) }
        guard isBelow || path.starts(with: "/.well-known/o".utf8) || path.count <= "/authorize".utf8.count else {
            return nil
        }
        let path = String(decoding: path, as: UTF8.self)
        if AuthorizationRoute.endpoints.contains(path) {
            self = .endpoint(path)
        } else if path == AuthorizationRoute.resourcePath {
            self = .resourceMetadata([path])
        } else if publicPaths.contains(where: { path == AuthorizationRoute.resourcePath + $0 }) {
            // The document about the endpoint, or the one about the whole origin that stands for it; some servers have it
            // below the endpoint alone.
            self = .resourceMetadata([
                AuthorizationRoute.resourcePath + backendPath, AuthorizationRoute.resourcePath,
                backendPath + AuthorizationRoute.resourcePath,
            ])
        } else if isBelow {
            self = .resourceMetadata([backendPath + AuthorizationRoute.resourcePath])
        } else {
            for prefix in [AuthorizationRoute.serverPath, AuthorizationRoute.openIDPath] where path.hasPrefix(prefix) {
                let suffix = String(path.dropFirst(prefix.count))
                guard AuthorizationRoute.isPlain(suffix) else { return nil }
                self = .serverMetadata(prefix + (publicPaths.contains(suffix) ? backendPath : suffix))
                return
            }
            return nil
        }
    }

    /// Whether it is plain but for a slash at its end, which some servers' endpoints have.
    static func isPlainPath(_ path: String) -> Bool { isPlain(path.hasSuffix("/") ? String(path.dropLast()) : path) }

    /// Empty, or segments that no server takes for another path.
    static func isPlain(_ suffix: String) -> Bool {
        if suffix.isEmpty { return true }
        guard suffix.hasPrefix("/") else { return false }
        return suffix.dropFirst().split(separator: "/", omittingEmptySubsequences: false).allSatisfy { segment in
            !segment.isEmpty && segment != "." && segment != ".."
                && segment.utf8.allSatisfy { byte in
                    (0x30...0x39).contains(byte) || (0x61...0x7A).contains(byte | 0x20) || "-._~".utf8.contains(byte)
                }
        }
    }
}
