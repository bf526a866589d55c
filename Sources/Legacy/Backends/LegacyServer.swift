import MCP
package import Reactor
import Translation

/// A legacy server, or one of its copies, as one loop reaches it: where sessions are opened. How, is the part of its subclasses: `Backend` over HTTP,
/// `CommandBackend` as a child for each session.
package class LegacyServer {
    package let loop: Loop
    package let limits: Backend.Limits
    /// What tells it from other servers. It is not to be shown: a path may hold a secret.
    package let name: [UInt8]
    /// What it is called where it is shown; no two copies have the same.
    package let label: String
    let health = BackendHealth()
    /// Called when an attempt to reach it has ended.
    var onAttempt: ((_ succeeded: Bool) -> Void)?
    /// Whether another copy of the server is healthy.
    package internal(set) var hasAlternative: () -> Bool = { false }
    /// That of the last session.
    private var handshake: Handshake?

    init(name: [UInt8], label: String, on loop: Loop, limits: Backend.Limits) {
        self.name = name
        self.label = label
        self.loop = loop
        self.limits = limits
    }

    /// Opens a session, as far as the transport goes: sends `initialize`, and returns what the server agreed to.
    ///
    /// - Parameters:
    ///   - request: `initialize`.
    ///   - id: its own.
    func open(
        _ request: [UInt8], id: Int, credentials: Credentials
    ) async throws(BackendError) -> (any SessionTransport, Handshake) {
        // Both subclasses have their own.
        preconditionFailure("a server that is reached in no way")
    }

    /// Opens a channel for a client of an older revision, which sends its own `initialize`.
    ///
    /// - Parameter id: of that request.
    func openChannel(
        _ initialize: [UInt8], id: MessageID, credentials: Credentials
    ) async throws(BackendError) -> (transport: ChannelTransport, answer: CarriedMessage, early: [CarriedMessage]) {
        // Both subclasses have their own.
        preconditionFailure("a server that is reached in no way")
    }

    /// The ids of a session's requests. Those of a server that is not reached over connections are the session's own.
    var requestIDs: RequestIDs { RequestIDs(from: 1) }

    /// The same handshake, kept once for all sessions that the server opens with the same words: it may be long, and most say
    /// the same to all.
    final func kept(_ handshake: Handshake) -> Handshake {
        if let known = self.handshake, known.isWorded(as: handshake) { return known }
        self.handshake = handshake
        return handshake
    }

    /// An attempt to reach it has ended.
    final func attempted(_ succeeded: Bool) {
        if succeeded { health.connected(at: loop.now) } else { health.failed(at: loop.now) }
        onAttempt?(succeeded)
    }

    /// Tries to reach the server, for whoever only wants to know whether that goes. `health` has the outcome.
    func tryToReach() async {
        // Both subclasses have their own.
        preconditionFailure("a server that is reached in no way")
    }

    /// Whether the server can be reached without trying.
    var isReached: Bool { false }

    package var connectionCounts: ConnectionCounts {
        var counts = ConnectionCounts()
        counts.made = health.made
        counts.failed = health.failed
        counts.last = health.last
        return counts
    }

    /// Gives back what is kept for the next session.
    package func closeIdle() {}
}
