package import Crypto
import JSONText
package import MCP
package import Reactor
package import Telemetry
package import Translation

/// A call's right to use a session. Give it back with `SessionPool.releaseLease`.
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
        /// Whether callers without credentials may have all of them until others come.
        package var letsLoneHaveAll: Bool
        package var idleTimeout: Duration
        /// How long a call may wait for a session when all are in use.
        package var queueTimeout: Duration
        /// How many messages that are no requests may be on their way to servers at once.
        package var maxSending: Int
        /// How many calls the server gets at once; nil: any number.
        package var callsAtOnce: Int?

        package init(
            maxSessions: Int, maxPerPrincipal: Int, letsLoneHaveAll: Bool = false, idleTimeout: Duration,
            queueTimeout: Duration = .seconds(2), maxSending: Int, callsAtOnce: Int? = nil
        ) {
            self.maxSessions = maxSessions
            self.maxPerPrincipal = maxPerPrincipal
            self.letsLoneHaveAll = letsLoneHaveAll
            self.idleTimeout = idleTimeout
            self.queueTimeout = queueTimeout
            self.maxSending = maxSending
            self.callsAtOnce = callsAtOnce
        }
    }

    /// Calls that may wait for a session at once. Each holds its request, and waits for 2 s: with more, a client does
    /// better to hear at once that there is no room. One principal may fill a quarter, so that others can wait too.
    fileprivate static let maxWaiting = 1024
    fileprivate static let maxWaitingPerPrincipal = 256

    /// What a call may do, now that the table has let it.
    private enum Grant {
        case use(Table.ID)
        case join(Table.ID, SessionOpening)
        case open(Table.ID, SessionOpening)
        /// Nothing: only a mistake here leads to it.
        case none
    }

    /// The pool, for those that may outlive it. A weak reference would make each count of the pool's references slow.
    private final class Reference: BackendObserver {
        /// Nil when the pool is gone.
        unowned var pool: SessionPool?

        func backendFound(_ index: BackendChoice.Index, _ trouble: String?) { pool?.noteFinding(index, trouble) }
    }

    /// A session of a handle.
    private final class HandleSession {
        /// A call that waits to have it alone.
        final class Waiting {
            let waiter: SessionWaiter
            let owner: (any QuestionObserver)?
            /// Set when it has it.
            var lease: Lease?

            init(_ waiter: SessionWaiter, for owner: (any QuestionObserver)?) {
                self.waiter = waiter
                self.owner = owner
            }
        }

        let id: Table.ID
        /// In the order in which they came.
        var line: [Waiting] = []

        init(_ id: Table.ID) { self.id = id }
    }

    /// A call that waits until there is room.
    private final class Waiting {
        let caller: SessionWaiter
        let key: SessionKey
        var grant: Grant?
        var hasLostPatience = false

        init(_ caller: SessionWaiter, for key: SessionKey) {
            self.caller = caller
            self.key = key
        }
    }

    package private(set) var backends: Backends
    private var limits: Limits
    /// Whose turn it is, where the server gets only so many calls at once.
    package let turns: CallTurns
    private var table: Table
    private var slots: [Table.ID: PoolSlot] = [:]
    /// The session that was leased last, which nearly always is leased next.
    private var latest: (id: Table.ID, session: LegacySession)?
    /// How many sessions of each key there are whose ends were not told.
    private var alive: [SessionKey: Int] = [:]
    private var waiting: [Table.Ticket: Waiting] = [:]
    private var numbers = SessionCounts()
    /// How many channels of clients were to be opened so far.
    private var channels = 0
    private let sweep: Deadline
    /// Signalled when a session has ended, or could not be opened.
    private let ended = Wakeup()
    private let ends: SessionEnds
    private let starter: SessionStarter
    /// Whether no further call comes, so that no session is kept for the next one.
    private var isRetired = false
    /// Whether the process is about to stop, so that no session is given out any more.
    private var isClosed = false
    private let sending: SendingBudget
    private let log: Log
    private let journal: SessionJournal
    private let notices: BackendNotices
    private let reference = Reference()
    /// As the server called itself last.
    package var serverInfo: ServerInfo? { starter.serverInfo }

    /// Looks at each new session over HTTP before it serves a call, and hears of signs that another server has taken its place.
    package var inspector: (any SessionInspector)? {
        get { starter.inspector }
        set { starter.inspector = newValue }
    }

    /// Where replicas have their sessions in common; nil: each loop has its own.
    package var directory: (any SessionDirectory)? {
        get { starter.directory }
        set { starter.directory = newValue }
    }

    /// Gives up sessions when calls have to wait for one.
    package weak var spareSessions: (any SpareSessions)?

    /// Hears what happens to the sessions.
    package weak var observer: (any SessionPoolObserver)?

    /// Hears of sessions of handles that end.
    package weak var handleObserver: (any HandleSessionObserver)?
    /// The sessions of handles, and the calls that wait to have one alone.
    private var handleSessions: [SessionKey: HandleSession] = [:]
    /// How many calls wait so.
    private var handleWaiting = 0

    package let loop: Loop

    /// - Parameter notices: of all loops together.
    package init(backends: Backends, limits: Limits, notices: BackendNotices, log: Log) {
        self.backends = backends
        self.log = log
        self.notices = notices
        journal = SessionJournal(log, on: backends.loop)
        sending = SendingBudget(limits.maxSending)
        loop = backends.loop
        self.limits = limits
        table = Table(limits: limits.tableLimits(backends), idleTimeout: limits.idleTimeout)
        turns = CallTurns(limits.callsAtOnce, on: backends.loop)
        ends = SessionEnds(maxWaiting: limits.maxSessions, on: backends.loop, ended: ended)
        starter = SessionStarter(backends, ends: ends)
        sweep = Deadline(on: loop)
        // The pool has the deadline, which ends with it.
        sweep.onExpiry = { [unowned self] in closeExpired() }
        reference.pool = self
        backends.observer = reference
    }

    deinit { reference.pool = nil }

    /// How long a session may be without a call.
    package var idleTimeout: Duration { limits.idleTimeout }

    /// How many sessions there are, those that are being opened included.
    package var count: Int { table.count }

    /// What has become of the sessions so far.
    package var counts: SessionCounts {
        var counts = numbers
        counts.opening = slots.values.count { $0.opening?.abandonment.isSet == false }
        counts.open = table.count - table.endingCount - counts.opening
        counts.ending = table.endingCount + ends.count
        counts.untold = ends.untold
        return counts
    }

    /// A server told another replica, on a session of this caller: what sessions here know of it is not true any more.
    package func forgetChanged(_ notice: ChangeNotice, by principal: KeyedHash) {
        guard notice == .toolsListChanged else { return }
        for slot in slots.values where slot.key.principal == principal && !slot.isEndTold {
            slot.session?.toolsChanged()
        }
    }

    // MARK: Servers

    /// Finds out at the start whether the server can be reached, so that the log says it before the first call does.
    package func probeServers() { backends.probeCopies() }

    private func noteFinding(_ index: BackendChoice.Index, _ trouble: String?) {
        let server = backends.all[index]
        guard let news = notices.noteFinding(server.label, isDown: trouble != nil, at: loop.now) else { return }
        switch news {
        case .up(let time):
            log.write(.info, "backend_up") { line in
                line.field("backend", server.label)
                line.field("down_ms", milliseconds: time)
            }
        case .down:
            let there = slots.values.filter { $0.session?.server === server }
            log.write(backends.hasAlternative(to: index) ? .warning : .error, "backend_down") { line in
                line.field("backend", server.label)
                line.field("reason", trouble ?? "")
                line.field("sessions", there.count)
                line.field("callers", Set(there.filter { !$0.isEndTold }.map(\.key.principal)).count)
            }
        }
    }

    /// Another configuration is in force, which keeps callers apart in the same way. Sessions of servers that it has go on, those
    /// of others end after their last call.
    ///
    /// - Parameter backends: those that go on are the same objects as before.
    package func applySettings(_ backends: Backends, limits: Limits) {
        let before = self.backends
        self.backends = backends
        starter.backends = backends
        backends.observer = reference
        sending.setLimit(limits.maxSending)
        // All of them know the copies of now before one is given up, in the place of which others may go.
        var given: [Table.ID] = []
        for (id, slot) in slots {
            guard let copy = slot.copy else { continue }
            slot.copy = backends.copyIndex(of: before.all[copy])
            if let index = slot.copy { backends.enterCopy(index) } else { given.append(id) }
        }
        for id in given { giveUpSession(id, .configuration) }
        for id in table.applyLimits(limits.tableLimits(backends), idleTimeout: limits.idleTimeout) {
            numbers.evicted += 1
            closeSession(id, .evicted)
        }
        // As many as there were may be in line for their end.
        self.limits = limits
        ends.maxWaiting = limits.maxSessions
        before.stopCopies(except: backends)
        letNext()
        sweep.set(table.nextExpiry)
    }

    // MARK: Leases

    /// Whether no two calls share a session, whatever they are: it has one connection, and they would wait for each other.
    private var sharesNothing: Bool { backends.pinsConnections }

    /// The session for `key`, if it is ready to be used.
    package func readyLease(_ key: SessionKey) -> Lease? {
        if sharesNothing { return readyExclusiveLease(key, for: nil) }
        guard !isClosed, let id = table.leaseReady(key, at: loop.now) else { return nil }
        return grantedLease(of: id, isExclusive: false)
    }

    /// A session for `key` that no other exclusive call has, if one is ready.
    ///
    /// - Parameter owner: is asked what the server asks on the session; `nil`: no client can be asked.
    package func readyExclusiveLease(_ key: SessionKey, for owner: (any QuestionObserver)?) -> Lease? {
        guard !isClosed, let id = table.takeReady(key, at: loop.now),
            let lease = grantedLease(of: id, isExclusive: true)
        else { return nil }
        lease.session.setInteraction(for: owner)
        return lease
    }

    /// A session for `key`: the one there is, or a new one. However many ask at once, one handshake is made. Where there is
    /// no room, the call waits, in an order that is fair to all principals.
    ///
    /// - Parameters:
    ///   - owner: is asked what the server asks on the session, which no other exclusive call has then; `nil` for a call whose
    ///     client cannot be asked.
    ///   - previous: the session that the call had before. If it is lost, only a session that was opened since will do: the
    ///     server may have lost all that were there.
    ///   - waiter: the call, which may leave. A session that is being opened then is kept for the next one, unless its place
    ///     is wanted before.
    package func leaseSession(
        _ key: SessionKey, for owner: (any QuestionObserver)? = nil, after previous: LegacySession? = nil,
        credentials: Credentials, by waiter: SessionWaiter = SessionWaiter(until: nil)
    ) async throws(BackendError) -> Lease {
        if isClosed { throw BackendError(.unavailable, "Remora stops") }
        if key.isOfHandle { return try await leaseHandleSession(key, for: owner, by: waiter) }
        return try await leaseOrOpen(key, for: owner, after: previous?.loss ?? 0, credentials: credentials, by: waiter)
    }

    private func leaseOrOpen(
        _ key: SessionKey, for owner: (any QuestionObserver)?, after: Table.ID, credentials: Credentials,
        by waiter: SessionWaiter
    ) async throws(BackendError) -> Lease {
        let isExclusive = owner != nil || sharesNothing
        let grant: Grant
        switch table.requestLease(key, of: key.principal, isExclusive: isExclusive, after: after, at: .now) {
        case .wait(let ticket): grant = try await waitForGrant(ticket, for: key, waiter)
        case .full(let limit): throw busyError(limit)
        case .use(let id): grant = .use(id)
        case .join(let id): grant = joinOpening(id)
        case .open(let id, let evicted): grant = beginOpening(id, for: key, evicting: evicted)
        }
        switch grant {
        case .use(let id):
            guard let lease = grantedLease(of: id, isExclusive: isExclusive) else { break }
            if let owner { lease.session.setInteraction(for: owner) }
            return lease
        case .join(let id, let opening):
            return try await lease(of: id, opening, isExclusive, waiter)
        case .open(let id, let opening):
            opening.owner = owner
            // Its own task: who has it opened may leave, and others still wait.
            loop.spawn { await self.openSession(id, opening, for: key, credentials: credentials) }
            return try await lease(of: id, opening, isExclusive, waiter)
        case .none:
            break
        }
        throw BackendError(.unavailable, "the session is not there any more")
    }

    /// The lease on a session that is being opened.
    private func lease(
        of id: Table.ID, _ opening: SessionOpening, _ isExclusive: Bool, _ waiter: SessionWaiter
    ) async throws(BackendError) -> Lease {
        do throws(BackendError) {
            try await opening.waitForEnd(for: waiter, on: loop)
        } catch {
            if isExclusive { opening.owner = nil }
            leaveSession(id, isExclusive: isExclusive)
            throw error
        }
        guard let session = try opening.result?.get() else {
            throw BackendError(.unavailable, "the session is not there any more")
        }
        return Lease(session: session, isExclusive: isExclusive, id: id)
    }

    /// A lease that a call had or waited for is over.
    private func leaveSession(_ id: Table.ID, isExclusive: Bool) {
        let now = loop.now
        switch table.releaseLease(id, isExclusive: isExclusive, at: now) {
        case .kept: break
        case .close:
            // One that was not given up goes to another caller.
            if let slot = slots[id], slot.session != nil, !slot.isEndTold { numbers.evicted += 1 }
            closeSession(id, .evicted)
        case .unknown: log.internalError("a lease was given back twice")
        }
        if isRetired { return giveUpSession(id, .configuration) }
        letNext()
        // Nothing expires sooner than this; the sweep itself finds out what expires next.
        if !sweep.isSet { sweep.set(now + limits.idleTimeout) }
    }

    /// A lease that the table has given; nil where the session is not there, which only a mistake here can bring about.
    private func grantedLease(of id: Table.ID, isExclusive: Bool) -> Lease? {
        if let latest, latest.id == id { return Lease(session: latest.session, isExclusive: isExclusive, id: id) }
        guard let session = slots[id]?.session else {
            // The place is another's then.
            if table.releaseLease(id, isExclusive: isExclusive, at: loop.now) == .close || table.retireSession(id) {
                table.sessionEnded(id)
            }
            if !isClosed { log.internalError("the table of sessions knows one that is not there") }
            return nil
        }
        latest = (id, session)
        return Lease(session: session, isExclusive: isExclusive, id: id)
    }

    /// A lease beside the one that a call has, for what is to be done before the call can be sent; `nil`: that is better done on
    /// any session, or this one is not good any more.
    package func extraLease(beside session: LegacySession) -> Lease? {
        guard sharesNothing, let id = slots.first(where: { $0.value.session === session })?.key,
            table.useSession(id, at: loop.now)
        else { return nil }
        return Lease(session: session, isExclusive: false, id: id)
    }

    // What a decision asks for is done at once, so that the next one meets what it expects.

    private func joinOpening(_ id: Table.ID) -> Grant {
        guard let opening = slots[id]?.opening else {
            log.internalError("a session that is being opened has nobody who opens it")
            return .none
        }
        return .join(id, opening)
    }

    private func beginOpening(_ id: Table.ID, for key: SessionKey, evicting evicted: Table.ID?) -> Grant {
        if let evicted {
            numbers.evicted += 1
            closeSession(evicted, .evicted)
        }
        let opening = SessionOpening()
        slots[id] = PoolSlot(for: key, opening)
        return .open(id, opening)
    }

    // MARK: Sessions of handles

    /// Opens the session of a handle, which keeps its place until it is lost, or ``endHandleSession(_:)`` ends it. Where the caller
    /// leaves meanwhile, it is ended at once.
    ///
    /// - Parameter key: of the handle alone.
    package func openHandleSession(
        _ key: SessionKey, credentials: Credentials, by waiter: SessionWaiter
    ) async throws(BackendError) {
        if isClosed { throw BackendError(.unavailable, "Remora stops") }
        // As with a client's channel.
        table.leaveRoomForOthers()
        let lease: Lease
        do throws(BackendError) {
            lease = try await leaseOrOpen(key, for: nil, after: 0, credentials: credentials, by: waiter)
        } catch {
            dropOpening(of: key)
            throw error
        }
        // It may have been lost by now: then it is retired, and told by nothing else.
        guard slots[lease.id]?.isEndTold == false else {
            releaseLease(lease)
            throw BackendError(.unavailable, "the session was lost as soon as it was made")
        }
        table.holdSession(lease.id)
        handleSessions[key] = HandleSession(lease.id)
        releaseLease(lease)
    }

    /// No call will ever use what is being opened for this key. A process is ended. A server over HTTP is let answer, since only its
    /// answer names the session that is to be deleted; see ``openSession(_:_:for:credentials:)``.
    private func dropOpening(of key: SessionKey) {
        for (id, slot) in slots where slot.key === key {
            guard let opening = slot.opening else { return giveUpSession(id, nil) }
            if backends.startsProcesses, table.retireSession(id) { opening.abandonment.abandonOpening() }
            return
        }
    }

    /// Ends the session of a handle after its last call. Calls that wait for it are refused.
    package func endHandleSession(_ key: SessionKey) {
        guard let ended = handleSessions[key] else { return }
        giveUpSession(ended.id, nil)
    }

    /// When the last call on the session of a handle ended; nil while one has it, and where it is gone.
    package func idleStart(ofHandle key: SessionKey) -> Instant? {
        handleSessions[key].flatMap { table.idleStart(of: $0.id) }
    }

    /// The session of a handle; nil where it is gone.
    package func session(ofHandle key: SessionKey) -> LegacySession? {
        handleSessions[key].flatMap { slots[$0.id]?.session }
    }

    /// The session of a handle: the one there is, or none. A call that wants it alone waits for those before it.
    private func leaseHandleSession(
        _ key: SessionKey, for owner: (any QuestionObserver)?, by waiter: SessionWaiter
    ) async throws(BackendError) -> Lease {
        guard let held = handleSessions[key] else { throw .handleGone }
        guard owner != nil || sharesNothing else {
            guard table.useSession(held.id, at: loop.now), let lease = grantedLease(of: held.id, isExclusive: false)
            else { throw .handleGone }
            return lease
        }
        if held.line.isEmpty, let lease = readyExclusiveLease(key, for: owner) { return lease }
        guard held.line.count < SessionPool.maxWaitingPerPrincipal else {
            throw BackendError(.busy, "enough calls wait for the session of the handle")
        }
        let call = HandleSession.Waiting(waiter, for: owner)
        held.line.append(call)
        handleWaiting += 1
        // It may have become free without a call that had it.
        grantHandleSession(held.id, key)
        do throws(BackendError) {
            try await waiter.waitWhile(while: { call.lease == nil && handleSessions[key] === held }, on: loop)
        } catch {
            if let lease = call.lease { releaseLease(lease) } else { leaveLine(call, of: held) }
            throw error
        }
        guard let lease = call.lease else {
            leaveLine(call, of: held)
            throw .handleGone
        }
        return lease
    }

    private func leaveLine(_ call: HandleSession.Waiting, of held: HandleSession) {
        held.line.removeAll { $0 === call }
        handleWaiting -= 1
    }

    /// Gives the session of a handle to the call that has waited for it the longest, if it is free.
    private func grantHandleSession(_ id: Table.ID, _ key: SessionKey) {
        guard let held = handleSessions[key], held.id == id, let first = held.line.first,
            let lease = readyExclusiveLease(key, for: first.owner)
        else { return }
        leaveLine(first, of: held)
        first.lease = lease
        first.waiter.wake()
    }

    /// The session of a handle has ended, or will with its last call.
    private func handleSessionEnded(_ key: SessionKey, _ end: SessionEnd?) {
        guard let held = handleSessions.removeValue(forKey: key) else { return }
        for call in held.line { call.waiter.wake() }
        handleObserver?.handleSessionEnded(key, end)
    }

    // MARK: Sessions of others

    /// See `LegacySession.resumeLostCall`. The session has no place in the pool: it ends with its call, by ``dropResumed(_:)``.
    package func resumeLostCall(
        _ lost: LegacySession.Lost, like session: LegacySession, credentials: Credentials, until end: Instant,
        observer: any CallObserver
    ) async -> (session: LegacySession, call: LegacyCall)? {
        // The copy that has it is not known here; the others say that they do not know it.
        for backend in backends.overHTTP {
            if let taken = await LegacySession.resumeLostCall(
                lost, like: session, on: backend, credentials: credentials, until: end, observer: observer)
            {
                return taken
            }
        }
        return nil
    }

    /// Ends a session that was taken up.
    ///
    /// - Parameter isLeft: whether another process may have it by now, so that the server is told nothing.
    package func dropResumed(_ session: LegacySession, isLeft: Bool = false) {
        if isLeft { session.forgetSession() } else { ends.endSession(session) }
    }

    // MARK: Clients of older revisions

    /// Opens a channel for a client that has a session of its own. It has a place like any other session, from which no
    /// call takes it.
    ///
    /// - Parameters:
    ///   - initialize: the client's.
    ///   - id: of that request.
    ///   - waiter: the client. The channel is its own, so it ends with it.
    package func openChannel(
        _ initialize: [UInt8], id: MessageID, for principal: KeyedHash, credentials: Credentials,
        by waiter: SessionWaiter
    ) async throws(BackendError) -> ClientChannel {
        if isClosed { throw BackendError(.unavailable, "Remora stops") }
        // A channel cannot be spared when others come, so that no caller may have all places.
        table.leaveRoomForOthers()
        channels &+= 1
        // Only this one has the key: capabilities are an object.
        let key = SessionKey(principal: principal, capabilities: Array("channel \(channels)".utf8))
        let grant: Grant
        switch table.requestLease(key, of: principal, isExclusive: true, at: .now) {
        case .wait(let ticket): grant = try await waitForGrant(ticket, for: key, waiter)
        case .full(let limit): throw busyError(limit)
        case .open(let id, let evicted): grant = beginOpening(id, for: key, evicting: evicted)
        case .use, .join: grant = .none
        }
        guard case .open(let slot, let opening) = grant else {
            log.internalError("a client's channel has a key that another session has")
            throw BackendError(.unavailable, "the session is not there any more")
        }
        defer { waiter.onLeave = nil }
        waiter.onLeave = { opening.abandonment.abandonOpening() }
        if waiter.hasLeft { opening.abandonment.abandonOpening() }
        do throws(BackendError) {
            let opened = try await starter.openChannel(
                initialize, id: id, credentials: credentials, unless: opening.abandonment)
            fillSlot(slot, .channel, at: opened.server)
            table.sessionOpened(slot)
            let label = opened.server.label
            return ClientChannel(
                to: opened.server, over: opened.transport, opened.agreement, sending: sending.callerShare(of: principal)
            ) { [self] in channelIsGone(slot, at: label, of: principal, $0) }
        } catch {
            openingFailed(slot, opening, error)
            throw error
        }
    }

    private func channelIsGone(
        _ id: Table.ID, at backend: String, of principal: KeyedHash, _ end: ClientChannel.End
    ) {
        switch end {
        case .closed: break
        case .lost:
            numbers.noteLoss(.server)
            journal.recordEnd(at: backend, of: principal, .lost(.server))
        case .expired:
            numbers.expired += 1
            journal.recordEnd(at: backend, of: principal, .expired)
        case .reconfigured:
            numbers.noteLoss(.configuration)
            journal.recordEnd(at: backend, of: principal, .lost(.configuration))
        }
        _ = table.retireSession(id)
        _ = table.releaseLease(id, isExclusive: true, at: loop.now)
        closeSession(id)
    }

    // MARK: Waiting

    /// Whether any call waits for a session.
    package var hasWaiting: Bool { !waiting.isEmpty }

    /// A session of this principal can be spared: a call may wait for it.
    package func yieldSpared(by principal: KeyedHash) {
        switch table.shortageLimit(of: principal) {
        case .share: spareSessions?.yieldSession(of: principal)
        case .sessions: spareSessions?.yieldSession(of: nil)
        case .queue, nil: break
        }
    }

    private func waitForGrant(
        _ ticket: Table.Ticket, for key: SessionKey, _ waiter: SessionWaiter
    ) async throws(BackendError) -> Grant {
        let call = Waiting(waiter, for: key)
        waiting[ticket] = call
        // Makes room for it, where an idle session takes its time to end; else by one that can be spared.
        letNext()
        if call.grant == nil { yieldSpared(by: key.principal) }
        let patience = Deadline(on: loop)
        patience.onExpiry = {
            call.hasLostPatience = true
            waiter.wake()
        }
        patience.set(after: limits.queueTimeout)
        defer {
            patience.set(nil)
            waiting[ticket] = nil
        }
        do throws(BackendError) {
            try await waiter.waitWhile(while: { call.grant == nil && !call.hasLostPatience }, on: loop)
        } catch {
            _ = table.leaveQueue(ticket)
            throw error
        }
        if let grant = call.grant { return grant }
        throw busyError(table.leaveQueue(ticket))
    }

    /// Lets those go on who wait for what there is now, and makes room for the others.
    private func letNext() {
        if waiting.isEmpty { return }
        while let (ticket, decision) = table.nextWaiting(at: loop.now) {
            // A waiting call takes its ticket out of both when it leaves.
            guard let call = waiting[ticket] else {
                log.internalError("a call that waits for a session is not there")
                continue
            }
            let grant: Grant
            switch decision {
            case .use(let id): grant = .use(id)
            case .join(let id): grant = joinOpening(id)
            case .open(let id, let evicted): grant = beginOpening(id, for: call.key, evicting: evicted)
            case .wait, .full: grant = .none
            }
            call.grant = grant
            call.caller.wake()
        }
        while let idle = table.evictIdle() {
            numbers.evicted += 1
            closeSession(idle, .evicted)
        }
    }

    private func busyError(_ limit: Table.Limit) -> BackendError {
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
    package func releaseLease(_ lease: Lease) {
        if lease.isExclusive { lease.session.setInteraction(for: nil) }
        leaveSession(lease.id, isExclusive: lease.isExclusive)
        if lease.isExclusive, handleWaiting > 0, let slot = slots[lease.id] { grantHandleSession(lease.id, slot.key) }
    }

    /// The session of the lease is to serve no further call: the server lost it, or it is broken.
    package func retireSession(_ lease: Lease) { retireSession(lease.id) }

    /// The session of the lease is to serve no further call: the server does not let go of one that it had.
    package func giveUpSession(_ lease: Lease) { giveUpSession(lease.id, .call) }

    /// The session of the lease is to serve no further call, and may be another process's by now: the server is told nothing.
    package func leaveSessionToOthers(_ lease: Lease) {
        lease.session.forgetSession()
        giveUpSession(lease.id, nil)
    }

    /// A call on the session had no answer: finds out whether the session still lives, and retires it if not.
    package func checkSession(_ lease: Lease, _ credentials: Credentials) {
        loop.spawn {
            if await lease.session.askForLife(by: .ping, credentials) != .alive { self.retireSession(lease.id) }
        }
    }

    /// No session serves a further call; those that are in use are closed after their last one.
    package func retireAll(_ loss: SessionEnd.Loss) {
        for (id, slot) in slots where slot.session != nil { giveUpSession(id, loss) }
    }

    /// The session serves no further call; the server still knows it, and is told when the last call has ended.
    ///
    /// - Parameter loss: why its callers lose what the server keeps in it; nil where it keeps nothing.
    private func giveUpSession(_ id: Table.ID, _ loss: SessionEnd.Loss?) {
        if let slot = slots[id] { noteEnd(of: slot, loss.map { .lost($0) }) }
        if table.retireSession(id) { closeSession(id) }
        letNext()
    }

    private func retireSession(_ id: Table.ID) {
        inspector?.doubtEra()
        if let session = slots[id]?.session, !session.isClosed {
            session.loss = table.latestID
            session.forgetSession()
        }
        giveUpSession(id, .server)
    }

    // MARK: Opening

    private func openSession(
        _ id: Table.ID, _ opening: SessionOpening, for key: SessionKey, credentials: Credentials
    ) async {
        do throws(BackendError) {
            let start = loop.now
            let session = try await starter.openSession(
                for: key, credentials: credentials, sending: sending.callerShare(of: key.principal),
                unless: opening.abandonment)
            if opening.abandonment.isSet {
                await endUnwanted(unwanted: session)
                throw .clientLeft
            }
            session.delegate = SlotDelegate(of: reference, id, key)
            fillSlot(id, .session(session), at: session.server)
            alive[key, default: 0] += 1
            observer?.sessionChanged(.opened(key, session.handshake.serverInfo))
            table.sessionOpened(id)
            opening.endOpening(.success(session))
            session.setInteraction(for: opening.owner)
            journal.recordOpening(session, for: key.principal, in: loop.now - start)
            // It had no owner to tell before.
            if session.isLost { retireSession(id) }
            // Another configuration was taken over meanwhile.
            if slots[id]?.copy == nil || isRetired && !opening.isAwaited { giveUpSession(id, .configuration) }
            // Its client has left, and no other has its name.
            if key.isOfHandle, !opening.isAwaited { giveUpSession(id, nil) }
            // No call waits for it any more: then it is for the next.
            if !opening.isAwaited, !isClosed {
                letNext()
                if !sweep.isSet { sweep.set(loop.now + limits.idleTimeout) }
            }
        } catch {
            opening.endOpening(.failure(error))
            openingFailed(id, opening, error)
        }
    }

    /// What was opened is in its place.
    private func fillSlot(_ id: Table.ID, _ content: PoolSlot.Content, at server: LegacyServer) {
        guard let slot = slots[id] else { return log.internalError("what was opened has no place") }
        slot.content = content
        slot.openedAt = loop.now
        // The copies of now: another configuration may have been taken over meanwhile.
        slot.copy = backends.copyIndex(of: server)
        if let copy = slot.copy { backends.enterCopy(copy) }
        numbers.opened += 1
    }

    /// Ends a session that no call wants any more. If it is a process, its place is taken until it has ended.
    private func endUnwanted(unwanted session: LegacySession) async {
        session.place?.retirePlace(isBroken: false)
        if backends.startsProcesses { await session.closeSession() } else { ends.endSession(session) }
    }

    private func openingFailed(_ id: Table.ID, _ opening: SessionOpening, _ error: BackendError) {
        slots[id] = nil
        if error.kind == .unavailable, !error.isRefusal { inspector?.doubtEra() }
        table.openingFailed(id)
        if !opening.abandonment.isSet { numbers.failed += 1 }
        ended.signal()
        letNext()
    }

    /// A session at this copy, for a question that concerns no call; nil where there is none.
    package func anySession(at backend: Backend) -> LegacySession? {
        let slot = slots.values.first { slot in
            slot.copy.map { backends.all[$0] === backend } == true && slot.session?.isClosed == false
        }
        return slot?.session
    }

    /// Opens a session for `key` where there is none, so that its inspection tells more. Returns whether there is one.
    package func openForInspection(_ key: SessionKey, _ credentials: Credentials) async -> Bool {
        guard let lease = try? await leaseSession(key, credentials: credentials) else { return false }
        releaseLease(lease)
        return true
    }

    /// A call on the session was answered so: a server of 2026-07-28, which may be there now, refuses what it takes for its own
    /// requests by codes that no other has.
    package func noteResponse(_ answer: LegacyResponse, on session: LegacySession) {
        guard case .error = answer.outcome, !session.isKept, let code = answer.errorCode,
            code == ErrorCode.headerMismatch || code == ErrorCode.unsupportedProtocolVersion
        else { return }
        renewUnkept()
    }

    /// A call on the session was rejected, whatever that says.
    package func noteRejection(on session: LegacySession) { if !session.isKept { renewUnkept() } }

    /// Has each further call use a new session, where the server keeps none: nothing is lost by it, and the handshake tells
    /// which server is there now.
    package func renewUnkept() {
        for (id, slot) in slots where slot.session?.isKept == false && !slot.key.isOfHandle { giveUpSession(id, nil) }
    }

    // MARK: Closing

    /// - Parameter cause: nil where that was noted, or is nothing that a caller loses.
    private func closeSession(_ id: Table.ID, _ cause: SessionEnd? = nil) {
        guard let slot = slots[id] else { return placeIsFree(id) }
        // Its place is free when that has ended.
        if let opening = slot.opening { return opening.abandonment.abandonOpening() }
        noteEnd(of: slot, cause)
        slots[id] = nil
        if let copy = slot.copy { backends.leaveCopy(copy) }
        if let start = slot.openedAt {
            numbers.durations.recordDuration(nanoseconds: Int((loop.now - start).nanoseconds))
        }
        guard let session = slot.session else { return placeIsFree(id) }
        if latest?.id == id { latest = nil }
        guard backends.startsProcesses else { return ends.endSession(session) }
        // Each has a place until its process has ended, so there are no more of them than places.
        loop.spawn {
            await session.closeSession()
            self.placeIsFree(id)
        }
    }

    /// The session is gone, and another may be where it was.
    private func placeIsFree(_ id: Table.ID) {
        table.sessionEnded(id)
        letNext()
        ended.signal()
    }

    /// Tells the end of a session, once.
    private func noteEnd(of slot: PoolSlot, _ end: SessionEnd?) {
        guard let session = slot.session, !slot.isEndTold else { return }
        slot.isEndTold = true
        let isBroken = if case .lost(let loss) = end { loss.isOfSession } else { false }
        session.place?.retirePlace(isBroken: isBroken)
        if let end { journal.recordEnd(at: session.server.label, of: slot.key.principal, end) }
        if case .lost(let loss) = end { numbers.noteLoss(loss) }
        let rest = alive[slot.key, default: 1] - 1
        alive[slot.key] = rest > 0 ? rest : nil
        observer?.sessionChanged(.ended(slot.key, session, isLast: rest == 0))
        if slot.key.isOfHandle { handleSessionEnded(slot.key, end) }
    }

    private func closeExpired() {
        for id in table.takeExpired(at: .now) {
            numbers.expired += 1
            closeSession(id, .expired)
        }
        letNext()
        sweep.set(table.nextExpiry)
    }

    /// Ends openings that no call waits for.
    private func abandonOpenings() {
        for (id, slot) in slots {
            guard let opening = slot.opening, !opening.isAwaited else { continue }
            if table.retireSession(id) { opening.abandonment.abandonOpening() }
        }
    }

    /// No further call comes: returns when the last session has been ended on the server.
    package func retirePool() async {
        isRetired = true
        retireAll(.configuration)
        abandonOpenings()
        while table.count > 0 || ends.underWay > 0 { await ended.wait() }
        sweep.set(nil)
        journal.writeNotes()
        backends.stopCopies()
    }

    /// Ends every session on the server. No call may be in flight.
    ///
    /// - Parameter end: when to leave those alone that are left.
    package func closeAll(until end: Instant) async {
        sweep.set(nil)
        isClosed = true
        directory?.processStops()
        abandonOpenings()
        latest = nil
        for slot in slots.values {
            guard let session = slot.session else { continue }
            slot.content = .closed
            if backends.startsProcesses { ends.endAtOnce(session) } else { ends.endInTurn(session) }
        }
        journal.writeNotes()
        await ended.wait(while: { ends.underWay > 0 || table.endingCount > 0 }, until: end, on: loop)
        backends.stopCopies()
    }
}

extension SessionPool {
    /// The pool as one session's delegate.
    private final class SlotDelegate: LegacySessionDelegate {
        /// A pool may end before its last session has.
        private let reference: Reference
        private let id: Table.ID
        private let key: SessionKey

        init(of reference: Reference, _ id: Table.ID, _ key: SessionKey) {
            self.reference = reference
            self.id = id
            self.key = key
        }

        func sessionWasLost() { reference.pool?.retireSession(id) }

        func sessionWasGivenUp() { reference.pool?.giveUpSession(id, .cancellation) }

        func sessionWasReplaced() { reference.pool?.giveUpSession(id, .replaced) }

        func changeNoticeArrived(_ notice: ChangeNotice) {
            reference.pool?.observer?.sessionChanged(.changed(key, notice))
        }

        func serverWasUnheard() { reference.pool?.observer?.sessionChanged(.unheard(key)) }

        func questionHadNoClient() {
            // The session of a handle has no other that could take its place.
            guard let pool = reference.pool, !pool.sharesNothing, !key.isOfHandle else { return }
            pool.table.shareSession(id)
        }
    }
}

extension SessionPool.Limits {
    fileprivate func tableLimits(_ backends: Backends) -> SessionPool.Table.Limits {
        SessionPool.Table.Limits(
            sessions: maxSessions, sessionsPerOwner: maxPerPrincipal, lone: letsLoneHaveAll ? KeyedHash.none : nil,
            waiting: SessionPool.maxWaiting, waitingPerOwner: SessionPool.maxWaitingPerPrincipal,
            endingCounts: backends.startsProcesses)
    }
}
