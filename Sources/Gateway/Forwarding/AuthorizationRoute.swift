/// A path beside the MCP endpoint that clients need for authorization (2026-07-28, basic/authorization/index and
/// authorization-server-discovery; 2025-03-26, basic/authorization).
enum AuthorizationRoute: Equatable {
    /// The metadata of the protected resource (RFC 9728), with the backend's paths to try, in their order.
    case resourceMetadata([String])
    /// The metadata of an authorization server in the backend's origin (RFC 8414, OpenID Connect Discovery).
    case serverMetadata(String)
    /// An endpoint of an authorization server at its default path of 2025-03-26.
    case endpoint(String)
    /// An endpoint that the metadata of an authorization server names.
    case namedEndpoint(String)

    static let resourcePath = "/.well-known/oauth-protected-resource"
    static let serverPath = "/.well-known/oauth-authorization-server"
    static let openIDPath = "/.well-known/openid-configuration"
    private static let endpoints = ["/authorize", "/token", "/register"]

    /// The path of an endpoint; `nil` for a document.
    var endpointPath: String? {
        switch self {
        case .endpoint(let path), .namedEndpoint(let path): path
        case .resourceMetadata, .serverMetadata: nil
        }
    }

    /// The route of a path; `nil` if it has none.
    ///
    /// - Parameters:
    ///   - publicPaths: paths of the MCP endpoint for clients.
    ///   - backendPath: path of the MCP endpoint on the backend.
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
            // The document of the endpoint, or the one of the origin. Some servers have it below the endpoint only.
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

    /// Whether a path is plain, apart from a slash at its end. Endpoints of some servers have one.
    static func isPlainPath(_ path: String) -> Bool { isPlain(path.hasSuffix("/") ? String(path.dropLast()) : path) }

    /// Whether a path is empty, or consists of segments that no server reads as another path.
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
