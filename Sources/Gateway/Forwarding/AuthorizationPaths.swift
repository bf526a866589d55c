import Reactor
internal import Synchronization

/// The paths beside the MCP endpoint that the server has named to clients, in a challenge (RFC 9728 §5.1) or in its
/// metadata (RFC 8414 §2). Requests for other paths are not forwarded. All loops share it, and it survives reloads.
package final class AuthorizationPaths: Sendable {
    /// Metadata names about ten endpoints.
    private static let maxPaths = 64
    private static let maxPath = 512
    /// Between two readings of the server's metadata because of an unknown path. Any client may request one.
    private static let spacing: Duration = .seconds(10)

    private struct KnownPaths {
        /// The server that the rest belongs to.
        var server: [UInt8] = []
        var paths: [String: AuthorizationRoute] = [:]
        var wantsAuthorization = false
        var nextReading: Instant?
    }

    private let known = Mutex(KnownPaths())

    package init() {}

    /// Notes that the server requires authorization.
    func noteChallenge(by server: [UInt8]) {
        known.withLock { known in
            AuthorizationPaths.forgetOthers(than: server, in: &known)
            known.wantsAuthorization = true
        }
    }

    /// Whether the server has required authorization.
    func wantsAuthorization(_ server: [UInt8]) -> Bool {
        known.withLock { $0.server == server && $0.wantsAuthorization }
    }

    /// Adds a path that the server has named. Paths that are not plain, and paths beyond the limit, are dropped.
    func addPath(_ path: String, as route: AuthorizationRoute, of server: [UInt8]) {
        guard path.utf8.count <= AuthorizationPaths.maxPath, AuthorizationRoute.isPlainPath(path), path.utf8.count > 1
        else {
            return
        }
        known.withLock { known in
            AuthorizationPaths.forgetOthers(than: server, in: &known)
            guard known.paths[path] != nil || hasRoom(for: route, in: known) else { return }
            known.paths[path] = route
        }
    }

    /// Whether a path fits. A challenge may name a path for each tenant, and clients choose tenants, so half of the
    /// room is kept for endpoints.
    private func hasRoom(for route: AuthorizationRoute, in known: borrowing KnownPaths) -> Bool {
        guard known.paths.count < AuthorizationPaths.maxPaths else { return false }
        guard case .resourceMetadata = route else { return true }
        let documents = known.paths.values.count { if case .resourceMetadata = $0 { true } else { false } }
        return documents < AuthorizationPaths.maxPaths / 2
    }

    /// The route of a path; `nil` if the server has not named it.
    func authorizationRoute(of path: ArraySlice<UInt8>, at server: [UInt8]) -> AuthorizationRoute? {
        known.withLock { known in
            guard known.server == server, !known.paths.isEmpty, path.count <= AuthorizationPaths.maxPath else {
                return nil
            }
            return known.paths[String(decoding: path, as: UTF8.self)]
        }
    }

    /// Whether the server's metadata may be read because of an unknown path.
    func mayReadMetadata(of server: [UInt8], at now: Instant) -> Bool {
        known.withLock { AuthorizationPaths.mayReadMetadata($0, server, now) }
    }

    /// The same. Notes the time of the reading if it may begin.
    func beginReadingMetadata(of server: [UInt8], at now: Instant) -> Bool {
        known.withLock { known in
            guard AuthorizationPaths.mayReadMetadata(known, server, now) else { return false }
            known.nextReading = now + AuthorizationPaths.spacing
            return true
        }
    }

    private static func mayReadMetadata(_ known: KnownPaths, _ server: [UInt8], _ now: Instant) -> Bool {
        known.server == server && known.wantsAuthorization && (known.nextReading.map { $0 <= now } ?? true)
    }

    private static func forgetOthers(than server: [UInt8], in known: inout KnownPaths) {
        if known.server != server { known = KnownPaths(server: server) }
    }
}
