import HTTPTransport
import Reactor
import Telemetry

/// A call's right to use a session. Give it back with `SessionPool.release`.
package struct Lease {
    package let session: LegacySession
    fileprivate let id: SessionTable<SessionKey>.ID
}

/// The sessions of one loop with its backend: opened when a call needs one, shared, and closed when idle.
package final class SessionPool {
    package struct Limits: Sendable {
        package var maxSessions: Int
        package var idleTimeout: Duration
        /// How long a call may wait for a session when all are in use.
        package var queueTimeout: Duration

        package init(maxSessions: Int, idleTimeout: Duration, queueTimeout: Duration = .seconds(2)) {
            self.maxSessions = maxSessions
            self.idleTimeout = idleTimeout
            self.queueTimeout = queueTimeout
        }
    }

    /// A handshake under way, and who waits for it.
    private final class Opening {
        let done = Gate()
        var result: Result<LegacySession, BackendError>?
    }

    private let backend: Backend
    private let limits: Limits
    private var table: SessionTable<SessionKey>
    private var sessions: [SessionTable<SessionKey>.ID: LegacySession] = [:]
    private var openings: [SessionTable<SessionKey>.ID: Opening] = [:]
    private var openedAt: [SessionTable<SessionKey>.ID: Instant] = [:]
    private var numbers = SessionCounts()
    private let freed = Gate()
    private let sweep: Deadline

    package init(backend: Backend, limits: Limits) {
        self.backend = backend
        self.limits = limits
        table = SessionTable(maxSessions: limits.maxSessions, idleTimeout: limits.idleTimeout)
        sweep = Deadline(on: backend.loop)
        sweep.onExpiry = { [unowned self] in closeExpired() }
    }

    /// How many sessions there are, those that are being opened included.
    package var count: Int { table.count }

    /// What has become of the sessions so far.
    package var counts: SessionCounts {
        var counts = numbers
        counts.opening = openings.count
        counts.open = table.count - openings.count
        return counts
    }

    // MARK: Leases

    /// The session for `key`, if it is ready to be used.
    package func readyLease(_ key: SessionKey) -> Lease? {
        guard let id = table.leaseReady(key, at: backend.loop.now) else { return nil }
        return Lease(session: session(id), id: id)
    }

    /// A session for `key`: the one there is, or a new one. However many ask at once, one handshake is made.
    package func lease(_ key: SessionKey, credentials: Credentials) async throws(BackendError) -> Lease {
        var patience: Deadline?
        var hasLostPatience = false
        while true {
            switch table.lease(key, at: .now) {
            case .use(let id):
                return Lease(session: session(id), id: id)
            case .join(let id):
                guard let opening = openings[id] else { preconditionFailure("nobody opens the session") }
                await opening.done.wait()
                return Lease(session: try outcome(of: opening), id: id)
            case .open(let id, let evicted):
                if let evicted {
                    numbers.evicted += 1
                    close(evicted)
                }
                return Lease(session: try await open(id, for: key, credentials: credentials), id: id)
            case .full:
                if hasLostPatience { throw BackendError(.busy, "all \(limits.maxSessions) sessions are in use") }
                if patience == nil {
                    patience = Deadline(on: backend.loop)
                    patience?.onExpiry = { [freed] in
                        hasLostPatience = true
                        freed.open()
                    }
                    patience?.set(after: limits.queueTimeout)
                }
                await freed.wait()
            }
        }
    }

    /// The call that held the lease is over.
    package func release(_ lease: Lease) {
        let now = backend.loop.now
        if table.release(lease.id, at: now) { close(lease.id) }
        freed.open()
        // Nothing expires sooner than this; the sweep itself finds out what expires next.
        if !sweep.isSet { sweep.set(now + limits.idleTimeout) }
    }

    /// The session of the lease is to serve no further call: the server lost it, or it is broken.
    package func retire(_ lease: Lease) { retire(lease.id) }

    /// A call on the session had no answer: finds out whether the session still lives, and retires it if not.
    package func check(_ lease: Lease, _ credentials: Credentials) {
        backend.loop.spawn { if await !lease.session.isAlive(credentials) { self.retire(lease.id) } }
    }

    private func retire(_ id: SessionTable<SessionKey>.ID) {
        if let session = sessions[id], !session.isClosed {
            numbers.lost += 1
            session.forget()
        }
        if table.retire(id) { close(id) }
        freed.open()
    }

    private func session(_ id: SessionTable<SessionKey>.ID) -> LegacySession {
        guard let session = sessions[id] else { preconditionFailure("the table knows a session that is not there") }
        return session
    }

    private func outcome(of opening: Opening) throws(BackendError) -> LegacySession {
        guard let result = opening.result else { preconditionFailure("a handshake ended without a result") }
        return try result.get()
    }

    // MARK: Opening

    private func open(
        _ id: SessionTable<SessionKey>.ID, for key: SessionKey, credentials: Credentials
    ) async throws(BackendError) -> LegacySession {
        let opening = Opening()
        openings[id] = opening
        defer {
            openings[id] = nil
            opening.done.open()
        }
        do throws(BackendError) {
            let session = try await LegacySession.open(
                on: backend, capabilities: key.capabilities, credentials: credentials)
            session.onLoss = { [unowned self] in retire(id) }
            sessions[id] = session
            openedAt[id] = backend.loop.now
            numbers.opened += 1
            table.opened(id)
            opening.result = .success(session)
            return session
        } catch {
            table.failed(id)
            numbers.failed += 1
            opening.result = .failure(error)
            freed.open()
            throw error
        }
    }

    // MARK: Closing

    private func close(_ id: SessionTable<SessionKey>.ID) {
        guard let session = sessions.removeValue(forKey: id) else { return }
        if let start = openedAt.removeValue(forKey: id) {
            numbers.durations.record(nanoseconds: Int((backend.loop.now - start).nanoseconds))
        }
        backend.loop.spawn { await session.close() }
    }

    private func closeExpired() {
        for id in table.expire(at: .now) {
            numbers.expired += 1
            close(id)
        }
        sweep.set(table.nextExpiry)
    }

    /// Ends every session on the server. No call may be in flight.
    package func closeAll() async {
        sweep.set(nil)
        let all = sessions.values
        sessions = [:]
        for session in all { await session.close() }
        backend.connections.closeIdle()
    }
}
