import Crypto
import Legacy
import Reactor

/// A call that has a session, and may be without a client that waits for it.
protocol SpareCall: AnyObject {
    var key: SessionKey { get }
    /// Gives up its session for another call, unless a client waits for it.
    func yieldSession()
}

/// Calls without a waiting client that have a session, of one pool: the first to go where another call needs one.
final class SpareCalls: SpareSessions {
    private let sessions: SessionPool
    /// Whose they are, and the longest first.
    private var spares = Spares<KeyedHash, ObjectIdentifier>()
    private var calls: [ObjectIdentifier: any SpareCall] = [:]

    init(of sessions: SessionPool) {
        self.sessions = sessions
        sessions.spareSessions = self
    }

    /// Notes whether a call has no client that waits for it.
    func noteSpare(_ call: any SpareCall, _ isSpare: Bool) {
        let number = ObjectIdentifier(call)
        guard isSpare != (calls[number] != nil) else { return }
        guard isSpare else {
            calls[number] = nil
            return spares.remove(number)
        }
        calls[number] = call
        spares.insert(number, of: call.key.principal)
        // It may be what another call waits for. Its caller is in the middle of a change.
        if sessions.hasWaiting { sessions.loop.spawn { self.sessions.yieldSpared(by: call.key.principal) } }
    }

    /// A call has to wait for a session. The call of this principal that could be spared for the longest gives up its own. `nil`:
    /// a call of the principal that has the most of them.
    func yieldSession(of principal: KeyedHash?) {
        let number = principal.map { spares.longestSpare(of: $0) } ?? spares.longestOfTheLargest
        guard let number, let call = calls[number] else { return }
        call.yieldSession()
    }
}
