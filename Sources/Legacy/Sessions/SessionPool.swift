package import Crypto
import HTTPTransport
package import Reactor
import Telemetry
package import Translation

/// A call's right to use a session. Give it back with `SessionPool.release`.
package struct Lease {
    package let session: LegacySession
    /// Whether the call is the only one on it that the server may ask something.
    fileprivate let isExclusive: Bool
    fileprivate let id: SessionPool.Table.ID
}

/// The sessions of one loop with the copies of its server: opened when a call needs one, shared, and closed when idle.
package final class SessionPool {
    fileprivate typealias Table = SessionTable<SessionKey, KeyedHash>

    package struct Limits: Sendable {
        package var maxSessions: Int
        /// How many of them one principal may have.
        package var maxPerPrincipal: Int
        package var idleTimeout: Duration
        /// How long a call may wait for a session when all are in use.
        package var queueTimeout: Duration

        package init(
            maxSessions: Int, maxPerPrincipal: Int, idleTimeout: Duration, queueTimeout: Duration = .seconds(2)
        ) {
            self.maxSessions = maxSessions
            self.maxPerPrincipal = maxPerPrincipal
            self.idleTimeout = idleTimeout
            self.queueTimeout = queueTimeout
        }
    }

    /// Calls that may wait for a session at once. Each holds its request, and waits for 2 s: with more, a client does
    /// better to hear at once that there is no room. One principal may fill a quarter, so that others can wait too.
    private static let maxWaiting = 1024
    private static let maxWaitingPerPrincipal = 256
    /// Sessions that are ended on the server at once. Each takes a connection, and a server may take its time.
    private static let maxEnding = 16

    /// A handshake under way, and who waits for it.
    private final class Opening {
        let done = Gate()
        var result: Result<LegacySession, BackendError>?
    }

    /// What a call may do, now that the table has let it.
    private enum Grant {
        case use(Table.ID)
        case join(Table.ID, Opening)
        case open(Table.ID, Opening)
    }

    /// A call that waits until there is room.
    private final class Waiting {
        let wakeup = Wakeup()
        var grant: Grant?
        var hasLostPatience = false
    }

    let backends: Backends
    private let limits: Limits
    private var table: Table
    private var sessions: [Table.ID: LegacySession] = [:]
    /// The one that was leased last, which nearly always is leased next.
    private var latest: (id: Table.ID, session: LegacySession)?
    private var keys: [Table.ID: SessionKey] = [:]
    /// How many of `keys` are equal.
    private var alive: [SessionKey: Int] = [:]
    /// Where they are.
    private var places: [Table.ID: BackendChoice.Index] = [:]
    private var openings: [Table.ID: Opening] = [:]
    private var waiting: [Table.Ticket: Waiting] = [:]
    private var openedAt: [Table.ID: Instant] = [:]
    private var numbers = SessionCounts()
    private let sweep: Deadline
    /// Sessions that are still to be ended on the server.
    private var toEnd: [LegacySession] = []
    /// How many are being ended.
    private var ending = 0
    /// Opened when one has been, or could not be opened.
    private let ended = Gate()
    /// Whether nobody is to ask for a session any more, so that none is kept for the next call.
    private var isRetired = false
    /// As the server called itself last.
    package private(set) var serverInfo: ServerInfo?

    /// Called when something happened that a server does which was replaced by another: it lost a session, failed at a
    /// handshake, or calls itself otherwise.
    package var onDoubt: (() -> Void)?

    /// Called when a call has to wait for a session: with whose share is used up, or nil where all sessions are in use. Whoever
    /// has one that can be spared gives it up.
    package var onPressure: ((KeyedHash?) -> Void)?

    /// Called when something has happened to a session.
    package var onEvent: ((SessionEvent) -> Void)?

    package let loop: Loop

    package init(backends: Backends, limits: Limits) {
        self.backends = backends
        loop = backends.loop
        self.limits = limits
        table = Table(
            limits: Table.Limits(
                sessions: limits.maxSessions, sessionsPerOwner: limits.maxPerPrincipal,
                waiting: SessionPool.maxWaiting, waitingPerOwner: SessionPool.maxWaitingPerPrincipal),
            idleTimeout: limits.idleTimeout)
        sweep = Deadline(on: loop)
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

    /// A server told another replica, on a session of this caller: what sessions here know of it is not true any more.
    package func heard(_ cue: Cue, by principal: KeyedHash) {
        guard cue == .toolsListChanged else { return }
        for (id, key) in keys where key.principal == principal { sessions[id]?.toolsChanged() }
    }

    // MARK: Leases

    /// Whether no two calls share a session, whatever they are: it has one connection, and they would wait for each other.
    private var sharesNothing: Bool { backends.pinsConnections }

    /// The session for `key`, if it is ready to be used.
    package func readyLease(_ key: SessionKey) -> Lease? {
        if sharesNothing { return readyExclusiveLease(key, for: nil) }
        guard let id = table.leaseReady(key, at: loop.now) else { return nil }
        return Lease(session: session(id), isExclusive: false, id: id)
    }

    /// A session for `key` that no other exclusive call has, if one is ready.
    ///
    /// - Parameter owner: who is asked what the server asks on it; nil where nobody can be.
    package func readyExclusiveLease(_ key: SessionKey, for owner: (any QuestionListener)?) -> Lease? {
        guard let id = table.takeReady(key, at: loop.now) else { return nil }
        let session = session(id)
        session.claim(for: owner)
        return Lease(session: session, isExclusive: true, id: id)
    }

    /// A session for `key`: the one there is, or a new one. However many ask at once, one handshake is made. Where there is
    /// no room, the call waits, in an order that is fair to all principals.
    ///
    /// - Parameter owner: who is asked what the server asks on it, which no other exclusive call has then; nil for a call
    ///   during which nobody can be.
    package func lease(
        _ key: SessionKey, for owner: (any QuestionListener)? = nil, credentials: Credentials
    ) async throws(BackendError) -> Lease {
        let isExclusive = owner != nil || sharesNothing
        let grant: Grant
        switch table.lease(key, of: key.principal, isExclusive: isExclusive, at: .now) {
        case .wait(let ticket): grant = try await wait(ticket, of: key.principal)
        case .full(let limit): throw busy(limit)
        case .use(let id): grant = begin(.use(id))
        case .join(let id): grant = begin(.join(id))
        case .open(let id, let evicted): grant = begin(.open(id, evicted: evicted))
        }
        switch grant {
        case .use(let id):
            let session = session(id)
            if let owner { session.claim(for: owner) }
            return Lease(session: session, isExclusive: isExclusive, id: id)
        case .join(let id, let opening):
            while opening.result == nil { await opening.done.wait() }
            return Lease(session: try outcome(of: opening), isExclusive: isExclusive, id: id)
        case .open(let id, let opening):
            let session = try await open(id, opening, for: key, owner, credentials: credentials)
            return Lease(session: session, isExclusive: isExclusive, id: id)
        }
    }

    /// A lease beside the one that a call has, for what is to be done before the call can be sent; nil where that is better
    /// done on whichever session there is, and where this one is not good any more.
    package func lease(beside session: LegacySession) -> Lease? {
        guard sharesNothing, let id = sessions.first(where: { $0.value === session })?.key,
            table.use(id, at: loop.now)
        else { return nil }
        return Lease(session: session, isExclusive: false, id: id)
    }

    /// Does at once what a decision asks for, so that the next one meets what it expects.
    private func begin(_ decision: Table.Decision) -> Grant {
        switch decision {
        case .use(let id):
            return .use(id)
        case .join(let id):
            guard let opening = openings[id] else { preconditionFailure("nobody opens the session") }
            return .join(id, opening)
        case .open(let id, let evicted):
            if let evicted {
                numbers.evicted += 1
                close(evicted)
            }
            let opening = Opening()
            openings[id] = opening
            return .open(id, opening)
        case .wait, .full:
            preconditionFailure("a call that has to wait was let")
        }
    }

    // MARK: Sessions of others

    /// See `LegacySession.takeUp`. The session has no place in the pool: it ends with its call, by ``drop(_:)``.
    package func takeUp(
        _ lost: LegacySession.Lost, like session: LegacySession, credentials: Credentials, until end: Instant,
        listener: any CallListener
    ) async -> (session: LegacySession, call: LegacyCall)? {
        // Nobody here knows which copy has it; the others say that they do not know it.
        for backend in backends.overHTTP {
            if let taken = await LegacySession.takeUp(
                lost, like: session, on: backend, credentials: credentials, until: end, listener: listener)
            {
                return taken
            }
        }
        return nil
    }

    /// Ends a session that was taken up.
    package func drop(_ session: LegacySession) { end(session) }

    // MARK: Waiting

    /// Whether any call waits for a session.
    package var hasWaiting: Bool { !waiting.isEmpty }

    /// A session of this principal can be spared: a call may wait for it.
    package func spared(by principal: KeyedHash) {
        switch table.shortage(of: principal) {
        case .share: onPressure?(principal)
        case .sessions: onPressure?(nil)
        case .queue, nil: break
        }
    }

    private func wait(_ ticket: Table.Ticket, of principal: KeyedHash) async throws(BackendError) -> Grant {
        let call = Waiting()
        waiting[ticket] = call
        spared(by: principal)
        let patience = Deadline(on: loop)
        patience.onExpiry = {
            call.hasLostPatience = true
            call.wakeup.signal()
        }
        patience.set(after: limits.queueTimeout)
        defer {
            patience.set(nil)
            waiting[ticket] = nil
        }
        while true {
            if let grant = call.grant { return grant }
            if call.hasLostPatience { throw busy(table.giveUp(ticket)) }
            await call.wakeup.wait()
        }
    }

    /// Lets those go on who wait for what there is now.
    private func letNext() {
        if waiting.isEmpty { return }
        while let (ticket, decision) = table.next(at: loop.now) {
            guard let call = waiting[ticket] else { preconditionFailure("nobody waits with this ticket") }
            call.grant = begin(decision)
            call.wakeup.signal()
        }
    }

    private func busy(_ limit: Table.Limit) -> BackendError {
        switch limit {
        case .sessions:
            BackendError(.busy, "all \(limits.maxSessions) sessions (sessions.max) are in use")
        case .share:
            BackendError(
                .busy,
                "all \(limits.maxPerPrincipal) sessions that one caller may have (sessions.max_per_principal) are in use"
            )
        case .queue:
            BackendError(.busy, "all sessions are in use (sessions.max), and enough requests wait for one")
        }
    }

    // MARK: The end of a lease

    /// The call that held the lease is over.
    package func release(_ lease: Lease) {
        let now = loop.now
        if lease.isExclusive { lease.session.claim(for: nil) }
        if table.release(lease.id, isExclusive: lease.isExclusive, at: now) { close(lease.id) }
        if isRetired { return giveUp(lease.id) }
        letNext()
        // Nothing expires sooner than this; the sweep itself finds out what expires next.
        if !sweep.isSet { sweep.set(now + limits.idleTimeout) }
    }

    /// The session of the lease is to serve no further call: the server lost it, or it is broken.
    package func retire(_ lease: Lease) { retire(lease.id) }

    /// The session of the lease is to serve no further call: the server does not let go of one that it had.
    package func giveUp(_ lease: Lease) { giveUp(lease.id) }

    /// A call on the session had no answer: finds out whether the session still lives, and retires it if not.
    package func check(_ lease: Lease, _ credentials: Credentials) {
        loop.spawn { if await !lease.session.isAlive(credentials) { self.retire(lease.id) } }
    }

    /// No session serves a further call; those that are in use are closed after their last one.
    package func retireAll() { for id in sessions.keys { giveUp(id) } }

    /// The session serves no further call; the server still knows it, and is told when the last call has ended.
    private func giveUp(_ id: Table.ID) {
        noteEnd(of: id)
        if table.retire(id) { close(id) }
        letNext()
    }

    private func retire(_ id: Table.ID) {
        onDoubt?()
        if let session = sessions[id], !session.isClosed {
            numbers.lost += 1
            session.forget()
        }
        giveUp(id)
    }

    private func session(_ id: Table.ID) -> LegacySession {
        if let latest, latest.id == id { return latest.session }
        guard let session = sessions[id] else { preconditionFailure("the table knows a session that is not there") }
        latest = (id, session)
        return session
    }

    private func outcome(of opening: Opening) throws(BackendError) -> LegacySession {
        guard let result = opening.result else { preconditionFailure("a handshake ended without a result") }
        return try result.get()
    }

    // MARK: Opening

    private func open(
        _ id: Table.ID, _ opening: Opening, for key: SessionKey, _ owner: (any QuestionListener)?,
        credentials: Credentials
    ) async throws(BackendError) -> LegacySession {
        defer {
            openings[id] = nil
            opening.done.open()
        }
        do throws(BackendError) {
            let session = try await openSomewhere(id, key, credentials)
            // A pool may end before its last session has.
            session.onLoss = { [weak self] in self?.retire(id) }
            session.onGivenUp = { [weak self] in self?.giveUp(id) }
            if !sharesNothing { session.onUnansweredQuestion = { [weak self] in self?.table.share(id) } }
            session.onCue = { [weak self] in self?.onEvent?(.changed(key, $0)) }
            session.onGap = { [weak self] in self?.onEvent?(.unheard(key)) }
            if let serverInfo, serverInfo != session.handshake.serverInfo { onDoubt?() }
            serverInfo = session.handshake.serverInfo
            sessions[id] = session
            keys[id] = key
            alive[key, default: 0] += 1
            onEvent?(.opened(key, session.handshake.serverInfo))
            openedAt[id] = loop.now
            numbers.opened += 1
            table.opened(id)
            opening.result = .success(session)
            session.claim(for: owner)
            return session
        } catch {
            if error.kind == .unavailable { onDoubt?() }
            table.failed(id)
            numbers.failed += 1
            opening.result = .failure(error)
            ended.open()
            letNext()
            throw error
        }
    }

    /// Opens it on the copy that has the fewest. Where that one gives none, on another: no call was sent.
    private func openSomewhere(
        _ id: Table.ID, _ key: SessionKey, _ credentials: Credentials
    ) async throws(BackendError) -> LegacySession {
        // A copy that is aside may be back, and to try it costs nothing as long as nobody has waited.
        let patience = loop.now + backends.limits.connect
        var tried: Set<BackendChoice.Index> = []
        while true {
            guard let index = backends.enter(except: tried) else { preconditionFailure("more tried than there are") }
            do throws(BackendError) {
                let session = try await LegacySession.open(
                    on: backends.all[index], capabilities: key.capabilities, credentials: credentials)
                backends.served(index)
                places[id] = index
                return session
            } catch {
                backends.leave(index)
                guard error.kind == .unavailable else { throw error }
                backends.failed(index)
                tried.insert(index)
                if tried.count == backends.all.count { throw error }
                if loop.now > patience, !backends.all[index].hasAlternative() { throw error }
            }
        }
    }

    // MARK: Closing

    private func close(_ id: Table.ID) {
        noteEnd(of: id)
        guard let session = sessions.removeValue(forKey: id) else { return }
        if latest?.id == id { latest = nil }
        if let place = places.removeValue(forKey: id) { backends.leave(place) }
        if let start = openedAt.removeValue(forKey: id) {
            numbers.durations.record(nanoseconds: Int((loop.now - start).nanoseconds))
        }
        end(session)
    }

    /// Has the server end a session, in turn.
    private func end(_ session: LegacySession) {
        toEnd.append(session)
        guard ending < SessionPool.maxEnding else { return }
        ending += 1
        loop.spawn {
            while let next = self.toEnd.popLast() { await next.close() }
            self.ending -= 1
            self.ended.open()
        }
    }

    /// A session that is retired ends once, though it is closed later.
    private func noteEnd(of id: Table.ID) {
        guard let key = keys.removeValue(forKey: id), let session = sessions[id] else { return }
        let rest = alive[key, default: 1] - 1
        alive[key] = rest > 0 ? rest : nil
        onEvent?(.ended(key, session, isLast: rest == 0))
    }

    private func closeExpired() {
        for id in table.expire(at: .now) {
            numbers.expired += 1
            close(id)
        }
        letNext()
        sweep.set(table.nextExpiry)
    }

    /// Nobody asks for a session any more: returns when the last one has been ended on the server.
    package func retire() async {
        isRetired = true
        retireAll()
        while table.count > 0 || ending > 0 { await ended.wait() }
        sweep.set(nil)
        backends.stop()
    }

    /// Ends every session on the server. No call may be in flight.
    ///
    /// - Parameter end: when to leave those alone that are left.
    package func closeAll(until end: Instant) async {
        sweep.set(nil)
        let all = sessions.values
        sessions = [:]
        latest = nil
        for session in all { self.end(session) }
        await ended.wait(while: { ending > 0 }, until: end, on: loop)
        backends.stop()
    }
}
