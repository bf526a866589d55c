import Legacy
import Reactor

/// The sessions that one loop has for older clients. They outlive its gateways: a client comes back under whatever
/// configuration there is.
final class OlderSessions {
    private var sessions: [[UInt8]: Entry] = [:]
    /// Those that have ended, and whose process may still be there.
    private var ending = 0
    private let changed = Wakeup()

    private struct Entry {
        let session: OlderSession
        /// Knows the session's loop until the session ends.
        let affinity: SessionAffinity
    }

    subscript(id: [UInt8]) -> OlderSession? { sessions[id]?.session }

    private var all: [OlderSession] { sessions.values.map(\.session) }

    func addSession(_ session: OlderSession, affinity: SessionAffinity) {
        sessions[session.id] = Entry(session: session, affinity: affinity)
        session.registry = self
    }

    /// A session serves no further request.
    func sessionEnded(_ session: OlderSession) {
        guard let entry = sessions.removeValue(forKey: session.id) else { return }
        ending += 1
        entry.affinity.removeLoop(of: session.id)
    }

    /// Nothing is left of a session that has ended.
    func sessionIsGone() {
        ending -= 1
        changed.signal()
    }

    /// Ends those whose server is none of these, each with its last request.
    func retireSessions(except servers: Backends) {
        for session in all where servers.copyIndex(of: session.server) == nil { session.retireSession() }
    }

    /// Ends all of them.
    func endAllSessions(_ end: ClientChannel.End) { for session in all { session.endSession(end) } }

    /// Returns when nothing is left of those that have ended, or at `end`.
    func waitForEnds(until end: Instant, on loop: Loop) async {
        await changed.wait(while: { ending > 0 }, until: end, on: loop)
    }
}
