package import MCP
package import Reactor
import Telemetry
import Translation

/// Hears of attempts to reach a server. Called on the loop.
protocol AttemptObserver: AnyObject {
    /// An attempt to reach the server has ended.
    ///
    /// - Parameter failure: why it failed; `nil`: it did not.
    func attemptEnded(at server: LegacyServer, _ failure: String?)
}

/// A legacy server, or one of its copies, as one loop reaches it: `Backend` over HTTP, `CommandBackend` as a child for each
/// session. How each is reached is a ``ReachableServer``; what opens sessions there knows the transports, and is above them
/// (`Pool`).
package class LegacyServer {
    package let loop: Loop
    package private(set) var limits: Backend.Limits
    /// What tells it from other servers. It is not to be shown: a path may hold a secret.
    package let name: [UInt8]
    /// What it is called where it is shown; no two copies have the same.
    package private(set) var label: String
    /// Whether each session is a process, which has its place until it has ended.
    let startsProcesses: Bool
    let log: Log
    let health = BackendHealth()
    weak var attemptObserver: (any AttemptObserver)?
    /// Whether another copy of the server is healthy.
    package internal(set) var hasAlternative: () -> Bool = { false }
    /// The handshake of the last session.
    private var handshake: Handshake?
    /// What `initialize` offers first: the newest revision, unless the server has refused that.
    private(set) var offer = Revision.newestLegacy
    /// Capabilities that the server has and does not declare.
    package var undeclared: [ServerCapability] = []
    /// Whether the server has left a `ping` without an answer when it was new to a session.
    var isDeafToPing = false

    init(
        name: [UInt8], label: String, startsProcesses: Bool = false, on loop: Loop, limits: Backend.Limits, log: Log
    ) {
        self.startsProcesses = startsProcesses
        self.log = log
        self.name = name
        self.label = label
        self.loop = loop
        self.limits = limits
    }

    /// The ids of a session's requests. Those of a server that is not reached over connections are the session's own.
    var requestIDs: RequestIDs { RequestIDs(from: 1) }

    /// The same handshake, kept once for all sessions that the server opens with the same words: it may be long, and most say
    /// the same to all.
    ///
    /// - Parameter offered: the revision that the server had to be offered for it.
    final func sharedHandshake(_ handshake: Handshake, after offered: Revision) -> Handshake {
        if let known = self.handshake, known.isWorded(as: handshake) {
            offer = offered
            return known
        }
        let isAnother = self.handshake.map { $0.serverInfo != handshake.serverInfo } ?? false
        // Another server may know newer revisions, and answer.
        offer = isAnother ? .newestLegacy : offered
        if isAnother { isDeafToPing = false }
        var handshake = handshake
        handshake.declareCapabilities(undeclared)
        self.handshake = handshake
        return handshake
    }

    /// An attempt to reach it has ended.
    ///
    /// - Parameter failure: why it failed; nil where it did not.
    final func attemptEnded(_ failure: String?) {
        if failure == nil { health.noteConnection(at: loop.now) } else { health.noteFailure(at: loop.now) }
        attemptObserver?.attemptEnded(at: self, failure)
    }

    /// Another configuration has it too. Its limits hold for sessions that are opened from now on, and for what a session begins
    /// from now on, as far as that has not its own.
    package final func applyLimits(_ limits: Backend.Limits, label: String) {
        self.limits = limits
        self.label = label
    }

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
