import Legacy
import Reactor

/// The sessions that one loop has for older clients. They outlive its gateways: a client comes back under whatever
/// configuration there is.
final class OlderSessions {
    private var sessions: [[UInt8]: OlderSession] = [:]
    /// Those that have ended, and whose process may still be there.
    private var ending = 0
    private let changed = Wakeup()

    subscript(id: [UInt8]) -> OlderSession? { sessions[id] }

    /// - Parameter onEnd: called when the session serves no further request.
    func add(_ session: OlderSession, onEnd: @escaping () -> Void) {
        let id = session.id
        sessions[id] = session
        session.onEnd = { [self] in
            sessions[id] = nil
            ending += 1
            onEnd()
        }
        session.onGone = { [self] in
            ending -= 1
            changed.signal()
        }
    }

    /// Ends those whose server is none of these, each with its last request.
    func retire(except servers: Backends) {
        for session in Array(sessions.values) where servers.index(of: session.server) == nil { session.retire() }
    }

    /// Ends all of them.
    func endAll(_ end: ClientChannel.End) { for session in Array(sessions.values) { session.end(end) } }

    /// Returns when nothing is left of those that have ended, or at `end`.
    func settle(until end: Instant, on loop: Loop) async {
        await changed.wait(while: { ending > 0 }, until: end, on: loop)
    }
}
