package import Crypto
import HTTPTransport
import JSONText
package import MCP
package import Reactor
package import Telemetry
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
    /// Sessions that are ended on the server at once over HTTP. Each takes a connection, and a server may take its time.
    private static let maxEnding = 16

    /// A handshake under way, and who waits for it.
    private final class Opening {
        var result: Result<LegacySession, BackendError>?
        var waiters: [ObjectIdentifier: SessionWaiter] = [:]
        /// Who is asked what the server asks on it, for as long as that waits for it.
        var owner: (any QuestionListener)?
        /// Its place is wanted by others, and nobody waits for it.
        let abandonment = Abandonment()

        func end(_ result: Result<LegacySession, BackendError>) {
            self.result = result
            for waiter in waiters.values { waiter.news() }
        }
    }

    /// What a call may do, now that the table has let it.
    private enum Grant {
        case use(Table.ID)
        case join(Table.ID, Opening)
        case open(Table.ID, Opening)
        /// Nothing: only a mistake here leads to it.
        case none
    }

    /// A call that waits until there is room.
    private final class Waiting {
        let caller: SessionWaiter
        var grant: Grant?
        var hasLostPatience = false

        init(_ caller: SessionWaiter) { self.caller = caller }
    }

    package private(set) var backends: Backends
    private var limits: Limits
    /// Whose turn it is, where the server gets only so many calls at once.
    package let turns: CallTurns
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
    /// How many channels of clients were to be opened so far.
    private var channels = 0
    private let sweep: Deadline
    /// Sessions that are still to be ended on the server: as many as there may be sessions. A server that takes longer for
    /// their ends than callers come is not told of the rest.
    private var toEnd: [LegacySession] = []
    /// How many are being ended.
    private var ending = 0
    /// Opened when one has been, or could not be opened.
    private let ended = Wakeup()
    /// Whether nobody is to ask for a session any more, so that none is kept for the next call.
    private var isRetired = false
    /// Whether the process is about to stop, so that nobody gets a session any more.
    private var isClosed = false
    private let sending: SendingBudget
    private let log: Log
    private let journal: SessionJournal
    private let notices: BackendNotices
    /// As the server called itself last.
    package private(set) var serverInfo: ServerInfo?

    /// Called when something happened that a server does which was replaced by another: it lost a session, failed at a
    /// handshake, or calls itself otherwise.
    package var onDoubt: (() -> Void)?

    /// Looks at each new session over HTTP before it serves a call.
    package weak var inspector: (any SessionInspector)?

    /// Called when a call has to wait for a session: with whose share is used up, or nil where all sessions are in use. Whoever
    /// has one that can be spared gives it up.
    package var onPressure: ((KeyedHash?) -> Void)?

    /// Called when something has happened to a session.
    package var onEvent: ((SessionEvent) -> Void)?

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
        table = Table(limits: limits.table(backends), idleTimeout: limits.idleTimeout)
        turns = CallTurns(limits.callsAtOnce, on: backends.loop)
        sweep = Deadline(on: loop)
        // The pool has the deadline, which ends with it.
        sweep.onExpiry = { [unowned self] in closeExpired() }
        listen(to: backends)
    }

    /// How long a session may be without a call.
    package var idleTimeout: Duration { limits.idleTimeout }

    /// How many sessions there are, those that are being opened included.
    package var count: Int { table.count }

    /// What has become of the sessions so far.
    package var counts: SessionCounts {
        var counts = numbers
        counts.opening = openings.values.count { !$0.abandonment.isSet }
        counts.open = table.count - table.endingCount - counts.opening
        counts.ending = table.endingCount + toEnd.count + ending
        return counts
    }

    /// A server told another replica, on a session of this caller: what sessions here know of it is not true any more.
    package func heard(_ cue: Cue, by principal: KeyedHash) {
        guard cue == .toolsListChanged else { return }
        for (id, key) in keys where key.principal == principal { sessions[id]?.toolsChanged() }
    }

    // MARK: Servers

    /// Finds out at the start whether the server can be reached, so that the log says it before the first call does.
    package func look() { backends.look() }

    private func listen(to backends: Backends) {
        backends.onFinding = { [weak self] index, trouble in self?.tell(index, trouble) }
    }

    private func tell(_ index: BackendChoice.Index, _ trouble: String?) {
        let server = backends.all[index]
        guard let news = notices.found(server.label, isDown: trouble != nil, at: loop.now) else { return }
        switch news {
        case .up(let time):
            log.write(.info, "backend_up") { line in
                line.field("backend", server.label)
                line.field("down_ms", milliseconds: time)
            }
        case .down:
            let ids = sessions.filter { $0.value.server === server }.map(\.key)
            log.write(backends.hasAlternative(to: index) ? .warning : .error, "backend_down") { line in
                line.field("backend", server.label)
                line.field("reason", trouble ?? "")
                line.field("sessions", ids.count)
                line.field("callers", Set(ids.compactMap { keys[$0]?.principal }).count)
            }
        }
    }

    /// Another configuration is in force, which keeps callers apart in the same way. Sessions of servers that it has go on, those
    /// of others end after their last call.
    ///
    /// - Parameter backends: those that go on are the same objects as before.
    package func use(_ backends: Backends, limits: Limits) {
        let before = self.backends
        self.backends = backends
        listen(to: backends)
        sending.use(limits.maxSending)
        let placed = places
        places = [:]
        for (id, place) in placed {
            if let index = backends.index(of: before.all[place]) {
                places[id] = index
                backends.enter(index)
            } else {
                giveUp(id, .configuration)
            }
        }
        for id in table.use(limits.table(backends), idleTimeout: limits.idleTimeout) {
            numbers.evicted += 1
            close(id, .evicted)
        }
        // As many as there were may be in line for their end.
        self.limits = limits
        before.stop(except: backends)
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
        return lease(of: id, isExclusive: false)
    }

    /// A session for `key` that no other exclusive call has, if one is ready.
    ///
    /// - Parameter owner: who is asked what the server asks on it; nil where nobody can be.
    package func readyExclusiveLease(_ key: SessionKey, for owner: (any QuestionListener)?) -> Lease? {
        guard !isClosed, let id = table.takeReady(key, at: loop.now),
            let lease = lease(of: id, isExclusive: true)
        else { return nil }
        lease.session.claim(for: owner)
        return lease
    }

    /// A session for `key`: the one there is, or a new one. However many ask at once, one handshake is made. Where there is
    /// no room, the call waits, in an order that is fair to all principals.
    ///
    /// - Parameters:
    ///   - owner: who is asked what the server asks on it, which no other exclusive call has then; nil for a call
    ///     during which nobody can be.
    ///   - previous: the session that the call had before. Where that is lost, only one will do that was opened since: the
    ///     server may have lost with it all that were there.
    ///   - waiter: the call, which may leave. A session that is being opened then is kept for the next one, unless its place
    ///     is wanted before.
    package func lease(
        _ key: SessionKey, for owner: (any QuestionListener)? = nil, after previous: LegacySession? = nil,
        credentials: Credentials, by waiter: SessionWaiter = SessionWaiter(until: nil)
    ) async throws(BackendError) -> Lease {
        if isClosed { throw BackendError(.unavailable, "Remora stops") }
        let isExclusive = owner != nil || sharesNothing
        let grant: Grant
        let after = previous?.loss ?? 0
        switch table.lease(key, of: key.principal, isExclusive: isExclusive, after: after, at: .now) {
        case .wait(let ticket): grant = try await wait(ticket, of: key.principal, waiter)
        case .full(let limit): throw busy(limit)
        case .use(let id): grant = .use(id)
        case .join(let id): grant = join(id)
        case .open(let id, let evicted): grant = open(id, evicting: evicted)
        }
        switch grant {
        case .use(let id):
            guard let lease = lease(of: id, isExclusive: isExclusive) else { break }
            if let owner { lease.session.claim(for: owner) }
            return lease
        case .join(let id, let opening):
            return try await lease(of: id, opening, isExclusive, waiter)
        case .open(let id, let opening):
            opening.owner = owner
            // Its own task: who has it opened may leave, and others still wait.
            loop.spawn { await self.open(id, opening, for: key, credentials: credentials) }
            return try await lease(of: id, opening, isExclusive, waiter)
        case .none:
            break
        }
        throw BackendError(.unavailable, "the session is not there any more")
    }

    /// The lease on a session that is being opened.
    private func lease(
        of id: Table.ID, _ opening: Opening, _ isExclusive: Bool, _ waiter: SessionWaiter
    ) async throws(BackendError) -> Lease {
        opening.waiters[ObjectIdentifier(waiter)] = waiter
        defer { opening.waiters[ObjectIdentifier(waiter)] = nil }
        do throws(BackendError) {
            try await waiter.wait(while: { opening.result == nil }, on: loop)
        } catch {
            if isExclusive { opening.owner = nil }
            leave(id, isExclusive: isExclusive)
            throw error
        }
        guard let session = try opening.result?.get() else {
            throw BackendError(.unavailable, "the session is not there any more")
        }
        return Lease(session: session, isExclusive: isExclusive, id: id)
    }

    /// Nobody has this lease any more, which a call had or waited for.
    private func leave(_ id: Table.ID, isExclusive: Bool) {
        let now = loop.now
        switch table.release(id, isExclusive: isExclusive, at: now) {
        case .kept: break
        case .close:
            // One that was not given up goes to another caller.
            if keys[id] != nil { numbers.evicted += 1 }
            close(id, .evicted)
        case .unknown: log.internalError("a lease was given back twice")
        }
        if isRetired { return giveUp(id, .configuration) }
        letNext()
        // Nothing expires sooner than this; the sweep itself finds out what expires next.
        if !sweep.isSet { sweep.set(now + limits.idleTimeout) }
    }

    /// A lease that the table has given; nil where the session is not there, which only a mistake here can bring about.
    private func lease(of id: Table.ID, isExclusive: Bool) -> Lease? {
        if let latest, latest.id == id { return Lease(session: latest.session, isExclusive: isExclusive, id: id) }
        guard let session = sessions[id] else {
            // The place is another's then.
            if table.release(id, isExclusive: isExclusive, at: loop.now) == .close || table.retire(id) {
                table.ended(id)
            }
            if !isClosed { log.internalError("the table of sessions knows one that is not there") }
            return nil
        }
        latest = (id, session)
        return Lease(session: session, isExclusive: isExclusive, id: id)
    }

    /// A lease beside the one that a call has, for what is to be done before the call can be sent; nil where that is better
    /// done on whichever session there is, and where this one is not good any more.
    package func lease(beside session: LegacySession) -> Lease? {
        guard sharesNothing, let id = sessions.first(where: { $0.value === session })?.key,
            table.use(id, at: loop.now)
        else { return nil }
        return Lease(session: session, isExclusive: false, id: id)
    }

    // What a decision asks for is done at once, so that the next one meets what it expects.

    private func join(_ id: Table.ID) -> Grant {
        guard let opening = openings[id] else {
            log.internalError("a session that is being opened has nobody who opens it")
            return .none
        }
        return .join(id, opening)
    }

    private func open(_ id: Table.ID, evicting evicted: Table.ID?) -> Grant {
        if let evicted {
            numbers.evicted += 1
            close(evicted, .evicted)
        }
        let opening = Opening()
        openings[id] = opening
        return .open(id, opening)
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
        switch table.lease(key, of: principal, isExclusive: true, at: .now) {
        case .wait(let ticket): grant = try await wait(ticket, of: principal, waiter)
        case .full(let limit): throw busy(limit)
        case .open(let id, let evicted): grant = open(id, evicting: evicted)
        case .use, .join: grant = .none
        }
        guard case .open(let place, let opening) = grant else {
            log.internalError("a client's channel has a key that another session has")
            throw BackendError(.unavailable, "the session is not there any more")
        }
        defer {
            openings[place] = nil
            waiter.onLeave = nil
        }
        waiter.onLeave = { opening.abandonment.set() }
        if waiter.hasLeft { opening.abandonment.set() }
        do throws(BackendError) {
            let channel = try await openSomewhere(place, credentials) { (backend) async throws(BackendError) in
                let (transport, agreement) = try await backend.openChannel(
                    initialize, id: id, credentials: credentials, unless: opening.abandonment)
                return ClientChannel(
                    to: backend, over: transport, agreement, sending: sending.share(of: principal)
                ) { [self] in
                    channelIsGone(place, at: backend.label, of: principal, $0)
                }
            }
            openedAt[place] = loop.now
            numbers.opened += 1
            table.opened(place)
            return channel
        } catch {
            openingFailed(place, opening, error)
            throw error
        }
    }

    private func channelIsGone(
        _ id: Table.ID, at backend: String, of principal: KeyedHash, _ end: ClientChannel.End
    ) {
        switch end {
        case .closed: break
        case .lost:
            numbers.note(.server)
            journal.ended(at: backend, of: principal, .lost(.server))
        case .expired:
            numbers.expired += 1
            journal.ended(at: backend, of: principal, .expired)
        case .reconfigured:
            numbers.note(.configuration)
            journal.ended(at: backend, of: principal, .lost(.configuration))
        }
        _ = table.retire(id)
        _ = table.release(id, isExclusive: true, at: loop.now)
        close(id)
    }

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

    private func wait(
        _ ticket: Table.Ticket, of principal: KeyedHash, _ waiter: SessionWaiter
    ) async throws(BackendError) -> Grant {
        let call = Waiting(waiter)
        waiting[ticket] = call
        // Makes room for it, where an idle session takes its time to end; else by one that can be spared.
        letNext()
        if call.grant == nil { spared(by: principal) }
        let patience = Deadline(on: loop)
        patience.onExpiry = {
            call.hasLostPatience = true
            waiter.news()
        }
        patience.set(after: limits.queueTimeout)
        defer {
            patience.set(nil)
            waiting[ticket] = nil
        }
        do throws(BackendError) {
            try await waiter.wait(while: { call.grant == nil && !call.hasLostPatience }, on: loop)
        } catch {
            _ = table.giveUp(ticket)
            throw error
        }
        if let grant = call.grant { return grant }
        throw busy(table.giveUp(ticket))
    }

    /// Lets those go on who wait for what there is now, and makes room for the others.
    private func letNext() {
        if waiting.isEmpty { return }
        while let (ticket, decision) = table.next(at: loop.now) {
            let grant: Grant
            switch decision {
            case .use(let id): grant = .use(id)
            case .join(let id): grant = join(id)
            case .open(let id, let evicted): grant = open(id, evicting: evicted)
            case .wait, .full: grant = .none
            }
            // Whoever waits takes its ticket out of both when it goes.
            guard let call = waiting[ticket] else {
                log.internalError("a call that waits for a session is not there")
                continue
            }
            call.grant = grant
            call.caller.news()
        }
        while let idle = table.makeRoom() {
            numbers.evicted += 1
            close(idle, .evicted)
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
        if lease.isExclusive { lease.session.claim(for: nil) }
        leave(lease.id, isExclusive: lease.isExclusive)
    }

    /// The session of the lease is to serve no further call: the server lost it, or it is broken.
    package func retire(_ lease: Lease) { retire(lease.id) }

    /// The session of the lease is to serve no further call: the server does not let go of one that it had.
    package func giveUp(_ lease: Lease) { giveUp(lease.id, .call) }

    /// A call on the session had no answer: finds out whether the session still lives, and retires it if not.
    package func check(_ lease: Lease, _ credentials: Credentials) {
        loop.spawn {
            if await lease.session.life(by: .ping, credentials) != .alive { self.retire(lease.id) }
        }
    }

    /// No session serves a further call; those that are in use are closed after their last one.
    package func retireAll(_ loss: SessionEnd.Loss) { for id in sessions.keys { giveUp(id, loss) } }

    /// The session serves no further call; the server still knows it, and is told when the last call has ended.
    ///
    /// - Parameter loss: why its callers lose what the server keeps in it; nil where it keeps nothing.
    private func giveUp(_ id: Table.ID, _ loss: SessionEnd.Loss?) {
        noteEnd(of: id, loss.map { .lost($0) })
        if table.retire(id) { close(id) }
        letNext()
    }

    private func retire(_ id: Table.ID) {
        onDoubt?()
        if let session = sessions[id], !session.isClosed {
            session.loss = table.latestID
            session.forget()
        }
        giveUp(id, .server)
    }

    // MARK: Opening

    private func open(_ id: Table.ID, _ opening: Opening, for key: SessionKey, credentials: Credentials) async {
        defer { openings[id] = nil }
        do throws(BackendError) {
            let start = loop.now
            let session = try await openSomewhere(id, credentials) { (backend) async throws(BackendError) in
                try await inspected(
                    LegacySession.open(
                        on: backend, capabilities: key.capabilities, roots: key.roots, credentials: credentials,
                        sending: sending.share(of: key.principal), unless: opening.abandonment), at: backend,
                    credentials)
            }
            if opening.abandonment.isSet {
                if let place = places.removeValue(forKey: id) { self.backends.leave(place) }
                await end(unwanted: session)
                throw .clientLeft
            }
            // A pool may end before its last session has.
            session.onLoss = { [weak self] in self?.retire(id) }
            session.onGivenUp = { [weak self] in self?.giveUp(id, .cancellation) }
            if !sharesNothing { session.onUnansweredQuestion = { [weak self] in self?.table.share(id) } }
            session.onCue = { [weak self] in self?.onEvent?(.changed(key, $0)) }
            session.onGap = { [weak self] in self?.onEvent?(.unheard(key)) }
            sessions[id] = session
            keys[id] = key
            alive[key, default: 0] += 1
            onEvent?(.opened(key, session.handshake.serverInfo))
            openedAt[id] = loop.now
            numbers.opened += 1
            table.opened(id)
            opening.end(.success(session))
            session.claim(for: opening.owner)
            journal.opened(session, for: key.principal, in: loop.now - start)
            // It could tell nobody before.
            if session.isLost { retire(id) }
            // Another configuration was taken over meanwhile.
            if places[id] == nil || isRetired && opening.waiters.isEmpty { giveUp(id, .configuration) }
            // Nobody waits for it any more: then it is for the next.
            if opening.waiters.isEmpty, !isClosed {
                letNext()
                if !sweep.isSet { sweep.set(loop.now + limits.idleTimeout) }
            }
        } catch {
            opening.end(.failure(error))
            openingFailed(id, opening, error)
        }
    }

    /// Ends a session that was opened for nobody. Its place is taken until it has ended, where it is a process.
    private func end(unwanted session: LegacySession) async {
        if backends.startsProcesses { await session.close() } else { end(session) }
    }

    private func openingFailed(_ id: Table.ID, _ opening: Opening, _ error: BackendError) {
        if error.kind == .unavailable, !error.isRefusal { onDoubt?() }
        table.failed(id)
        if !opening.abandonment.isSet { numbers.failed += 1 }
        ended.signal()
        letNext()
    }

    /// Opens it on the copy that has the fewest. Where that one gives none, on another: no call was sent.
    private func openSomewhere<Session>(
        _ id: Table.ID, _ credentials: Credentials,
        _ open: (any PooledServer) async throws(BackendError) -> Session
    ) async throws(BackendError) -> Session {
        // A copy that is aside may be back, and to try it costs nothing as long as nobody has waited.
        let backends = backends
        let patience = loop.now + backends.limits.connect
        var tried: Set<BackendChoice.Index> = []
        while true {
            guard let index = backends.enter(except: tried) else {
                throw BackendError(.unavailable, "no copy of the server gives a session")
            }
            do throws(BackendError) {
                let session = try await open(backends.servers[index])
                backends.served(index)
                backends.leave(index)
                // Those of now: another configuration may have been taken over meanwhile.
                places[id] = self.backends.index(of: backends.all[index])
                if let place = places[id] { self.backends.enter(place) }
                return session
            } catch {
                backends.leave(index)
                let error = await inspected(error, by: backends.all[index], credentials)
                guard error.kind == .unavailable else { throw error }
                if !error.isRefusal { backends.failed(index, error.detail) }
                tried.insert(index)
                if tried.count == backends.all.count { throw error }
                if loop.now > patience, !backends.all[index].hasAlternative() { throw error }
            }
        }
    }

    /// A session that was opened, where it is to serve calls.
    private func inspected(
        _ session: LegacySession, at server: LegacyServer, _ credentials: Credentials
    ) async throws(BackendError) -> LegacySession {
        if let serverInfo, serverInfo != session.handshake.serverInfo { onDoubt?() }
        serverInfo = session.handshake.serverInfo
        guard let inspector, let backend = server as? Backend else { return session }
        if await inspector.mayServe(session, at: backend, credentials) { return session }
        end(session)
        throw BackendError(.unavailable, "the server speaks 2026-07-28 itself", isRefusal: true)
    }

    private func inspected(
        _ error: BackendError, by server: LegacyServer, _ credentials: Credentials
    ) async -> BackendError {
        guard error.eraHint != .none, let inspector, let backend = server as? Backend else { return error }
        return await inspector.refused(error, by: backend, credentials)
    }

    /// A session at this copy, for a question that concerns no call; nil where there is none.
    package func anySession(at backend: Backend) -> LegacySession? {
        let place = places.first { backends.all[$0.value] === backend && sessions[$0.key]?.isClosed == false }
        return place.flatMap { sessions[$0.key] }
    }

    /// Opens a session for `key` where there is none, so that its inspection tells more. Returns whether there is one.
    package func visit(_ key: SessionKey, _ credentials: Credentials) async -> Bool {
        guard let lease = try? await lease(key, credentials: credentials) else { return false }
        release(lease)
        return true
    }

    /// A call on the session was answered so: a server of 2026-07-28, which may be there now, refuses what it takes for its own
    /// requests by codes that no other has.
    package func heard(_ answer: LegacyAnswer, on session: LegacySession) {
        guard !session.isKept, case .error(let error) = answer.outcome,
            let code = answer.document.value("code", of: error).flatMap({ answer.document.integer($0) }),
            [ErrorCode.headerMismatch, ErrorCode.unsupportedProtocolVersion].contains(Int(code))
        else { return }
        renewUnkept()
    }

    /// A call on the session was rejected, whatever that says.
    package func rejected(on session: LegacySession) { if !session.isKept { renewUnkept() } }

    /// Has each further call use a new session, where the server keeps none: nothing is lost by it, and the handshake tells
    /// which server is there now.
    package func renewUnkept() {
        for (id, session) in sessions where !session.isKept { giveUp(id, nil) }
    }

    // MARK: Closing

    /// - Parameter cause: nil where that was noted, or is nothing that a caller loses.
    private func close(_ id: Table.ID, _ cause: SessionEnd? = nil) {
        // Its place is free when that has ended.
        if let opening = openings[id], opening.result == nil { return opening.abandonment.set() }
        noteEnd(of: id, cause)
        if let place = places.removeValue(forKey: id) { backends.leave(place) }
        if let start = openedAt.removeValue(forKey: id) {
            numbers.durations.record(nanoseconds: Int((loop.now - start).nanoseconds))
        }
        guard let session = sessions.removeValue(forKey: id) else { return placeIsFree(id) }
        if latest?.id == id { latest = nil }
        guard backends.startsProcesses else { return end(session) }
        // Each has a place until its process has ended, so there are no more of them than places.
        loop.spawn {
            await session.close()
            self.placeIsFree(id)
        }
    }

    /// The session is gone, and another may be where it was.
    private func placeIsFree(_ id: Table.ID) {
        table.ended(id)
        letNext()
        ended.signal()
    }

    /// Has the server end a session, in turn. Where too many are in line, it is not told.
    private func end(_ session: LegacySession) {
        guard toEnd.count < limits.maxSessions else {
            numbers.untold += 1
            return session.forget()
        }
        endInTurn(session)
    }

    private func endInTurn(_ session: LegacySession) {
        toEnd.append(session)
        guard ending < SessionPool.maxEnding else { return }
        ending += 1
        loop.spawn {
            while let next = self.toEnd.popLast() { await next.close() }
            self.ending -= 1
            self.ended.signal()
        }
    }

    /// A session that is retired ends once, though it is closed later.
    private func noteEnd(of id: Table.ID, _ end: SessionEnd?) {
        guard let key = keys.removeValue(forKey: id), let session = sessions[id] else { return }
        if let end { journal.ended(at: session.server.label, of: key.principal, end) }
        if case .lost(let loss) = end { numbers.note(loss) }
        let rest = alive[key, default: 1] - 1
        alive[key] = rest > 0 ? rest : nil
        onEvent?(.ended(key, session, isLast: rest == 0))
    }

    private func closeExpired() {
        for id in table.expire(at: .now) {
            numbers.expired += 1
            close(id, .expired)
        }
        letNext()
        sweep.set(table.nextExpiry)
    }

    /// Ends what is being opened for nobody.
    private func abandonOpenings() {
        for (id, opening) in openings where opening.waiters.isEmpty && opening.result == nil {
            if table.retire(id) { opening.abandonment.set() }
        }
    }

    /// Nobody asks for a session any more: returns when the last one has been ended on the server.
    package func retire() async {
        isRetired = true
        retireAll(.configuration)
        abandonOpenings()
        while table.count > 0 || ending > 0 { await ended.wait() }
        sweep.set(nil)
        journal.writeNotes()
        backends.stop()
    }

    /// Ends every session on the server. No call may be in flight.
    ///
    /// - Parameter end: when to leave those alone that are left.
    package func closeAll(until end: Instant) async {
        sweep.set(nil)
        isClosed = true
        abandonOpenings()
        let all = sessions.values
        sessions = [:]
        latest = nil
        for session in all {
            guard backends.startsProcesses else {
                endInTurn(session)
                continue
            }
            ending += 1
            loop.spawn {
                await session.close()
                self.ending -= 1
                self.ended.signal()
            }
        }
        journal.writeNotes()
        await ended.wait(while: { ending > 0 || table.endingCount > 0 }, until: end, on: loop)
        backends.stop()
    }
}

extension SessionPool.Limits {
    fileprivate func table(_ backends: Backends) -> SessionPool.Table.Limits {
        SessionPool.Table.Limits(
            sessions: maxSessions, sessionsPerOwner: maxPerPrincipal, lone: letsLoneHaveAll ? KeyedHash.none : nil,
            waiting: SessionPool.maxWaiting, waitingPerOwner: SessionPool.maxWaitingPerPrincipal,
            endingCounts: backends.startsProcesses)
    }
}
