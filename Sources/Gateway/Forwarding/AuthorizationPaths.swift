import Reactor
internal import Synchronization

/// The paths beside the MCP endpoint that the server itself has named to clients: in a challenge (RFC 9728 §5.1) or in its
/// metadata (RFC 8414 §2). Shared by all loops, and kept over reloads. No other path leads to the server.
package final class AuthorizationPaths: Sendable {
    /// Metadata names ten endpoints or so.
    private static let maxPaths = 64
    private static let maxPath = 512
    /// Between two readings of the server's metadata for a path that is not known: anybody may ask for one.
    private static let spacing: Duration = .seconds(10)

    private struct KnownPaths {
        /// What was learnt of another server is of no use.
        var server: [UInt8] = []
        var paths: [String: AuthorizationRoute] = [:]
        var wantsAuthorization = false
        var nextReading: Instant?
    }

    private let known = Mutex(KnownPaths())

    package init() {}

    /// The server wants callers to be authorized.
    func noteChallenge(by server: [UInt8]) {
        known.withLock { known in
            AuthorizationPaths.forgetOthers(than: server, in: &known)
            known.wantsAuthorization = true
        }
    }

    /// Whether it has said so.
    func wantsAuthorization(_ server: [UInt8]) -> Bool {
        known.withLock { $0.server == server && $0.wantsAuthorization }
    }

    /// The server has named a path. What is no plain path, or one too many, is not kept.
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

    /// Challenges may name a path for each tenant, and clients choose those: they leave room for endpoints.
    private func hasRoom(for route: AuthorizationRoute, in known: borrowing KnownPaths) -> Bool {
        guard known.paths.count < AuthorizationPaths.maxPaths else { return false }
        guard case .resourceMetadata = route else { return true }
        let documents = known.paths.values.count { if case .resourceMetadata = $0 { true } else { false } }
        return documents < AuthorizationPaths.maxPaths / 2
    }

    /// What a path stands for; nil for one that the server has not named.
    func route(of path: ArraySlice<UInt8>, at server: [UInt8]) -> AuthorizationRoute? {
        known.withLock { known in
            guard known.server == server, !known.paths.isEmpty, path.count <= AuthorizationPaths.maxPath else {
                return nil
            }
            return known.paths[String(decoding: path, as: UTF8.self)]
        }
    }

    /// Whether the server's metadata may be read because of a path that is not known.
    func mayReadMetadata(of server: [UInt8], at now: Instant) -> Bool {
        known.withLock { AuthorizationPaths.mayReadMetadata($0, server, now) }
    }

    /// The same; where it may be, notes that it is.
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
