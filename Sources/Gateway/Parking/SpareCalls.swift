import Crypto
import Legacy
import Reactor

/// Calls without a waiting client that have a session, of one pool: the first to go where another call needs one.
final class SpareCalls {
    private let sessions: SessionPool
    /// Whose they are, and the longest first.
    private var spares = Spares<KeyedHash, ObjectIdentifier>()
    private var calls: [ObjectIdentifier: InteractiveCall] = [:]

    init(of sessions: SessionPool) {
        self.sessions = sessions
        sessions.onPressure = { [weak self] principal in self?.makeRoom(of: principal) }
    }

    /// Notes whether a call has no client that waits for it.
    func note(_ call: InteractiveCall, _ isSpare: Bool) {
        let number = ObjectIdentifier(call)
        guard isSpare != (calls[number] != nil) else { return }
        guard isSpare else {
            calls[number] = nil
            return spares.remove(number)
        }
        calls[number] = call
        spares.insert(number, of: call.key.principal)
        // It may be what another call waits for. Its caller is in the middle of a change.
        if sessions.hasWaiting { sessions.loop.spawn { self.sessions.spared(by: call.key.principal) } }
    }

    /// A call has to wait for a session: whichever of this principal could spare its own for the longest gives it up; where that
    /// is nil, of whoever has the most of them.
    private func makeRoom(of principal: KeyedHash?) {
        let number = principal.map { spares.longest(of: $0) } ?? spares.longestOfTheLargest
        guard let number, let call = calls[number] else { return }
        call.makeRoom()
    }
}
