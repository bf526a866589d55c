package import Crypto
import HTTPTransport
package import Legacy
import MCP
import Reactor
package import Telemetry

/// Remora on one loop: takes requests from connections, admits them, has them carried, and answers.
package final class Gateway {
    let settings: GatewaySettings
    let admission: AdmissionRules
    let callers: CallerRules
    let forwarder: Forwarder
    let olderClients: OlderClients
    package let backends: Backends
    package let sessions: SessionPool
    let lists: Lists
    let subscriptions: Subscriptions
    let knownCallers: KnownCallers
    let interactions: Interactions
    let carrier: Carrier
    private let replicas: Replicas
    let tasks: Tasks
    let handles: Handles
    private let spares: SpareCalls
    let calls: ParkedCalls
    private let book: RequestBook
    /// Whether it is the one of the process that looks whether the server is there.
    private let isFirst: Bool
    /// Whether another gateway serves from now on, and has the sessions of this one.
    private(set) var hasHeir = false

    /// - Parameters:
    ///   - before: which served until now. Where it has the same sessions, its lists and subscriptions go on here, and it ends with
    ///     its last request.
    ///   - memory: of the loop; every gateway there shares it.
    ///   - affinity: shared by all loops of the process.
    ///   - paths: shared by them too, and for as long as the process runs.
    ///   - key: shared by all loops of the process, so that a caller has one hash in the log.
    ///   - seal: shared by them too, because what one sealed may come back to another.
    package init(
        settings: GatewaySettings, backends: Backends, sessions: SessionPool, memory: LoopMemory,
        affinity: SessionAffinity, paths: AuthorizationPaths,
        key: HashKey,
        seal: Seal, log: Log, after before: Gateway? = nil
    ) {
        let heritage = before.flatMap { $0.sessions === sessions ? $0 : nil }
        self.settings = settings
        self.backends = backends
        book = RequestBook(tally: memory.tally, log: log)
        admission = AdmissionRules(settings: settings)
        callers = CallerRules(
            settings.callerFields, byCertificate: settings.isolatesByCertificate, key: key)
        self.sessions = sessions
        lists = heritage?.lists ?? Lists(sessions: sessions, settings: settings, seal: seal, log: log)
        subscriptions = heritage?.subscriptions ?? Subscriptions(sessions: sessions, settings: settings)
        spares = heritage?.spares ?? SpareCalls(of: sessions)
        calls = memory.calls
        interactions = Interactions(
            sessions: sessions, spares: spares, lists: lists, settings: settings, calls: memory.calls, seal: seal,
            replicas: memory.replicas, claims: memory.claims, log: log)
        forwarder = Forwarder(
            settings: settings, admission: admission, backends: backends, sessions: sessions,
            known: memory.eras, affinity: affinity, paths: paths, log: log)
        olderClients = OlderClients(
            settings: settings, sessions: sessions, callers: callers, forwarder: forwarder,
            known: memory.olderSessions, replicas: memory.replicas, affinity: affinity, log: log)
        carrier = Carrier(
            settings: settings, sessions: sessions, lists: lists, forwarder: forwarder, callers: callers)
        replicas = memory.replicas
        tasks = Tasks(
            carrier: carrier, interactions: interactions, held: memory.tasks, seal: seal, replicas: memory.replicas)
        carrier.tasks = tasks
        handles = Handles(
            carrier: carrier, interactions: interactions, held: memory.handles, seal: seal, replicas: memory.replicas)
        sessions.directory = memory.sharing
        memory.sharing?.applySettings(callers, idleTimeout: sessions.idleTimeout)
        sessions.handleObserver = memory.handles
        memory.handles.applySettings(settings.handles, in: sessions)
        knownCallers = KnownCallers(callers, seal: seal)
        isFirst = before == nil && memory.index == 0
        if let heritage {
            heritage.hasHeir = true
            lists.applySettings(settings)
            subscriptions.applySettings(settings)
        }
        forwarder.eraObserver = self
        sessions.observer = self
    }

    /// To be called once, on the loop.
    package func startWatching() {
        if isFirst { sessions.probeServers() }
    }

    /// Another gateway serves from now on. What would not end by itself ends, unless that one has its sessions and its server.
    func handOver(to next: Gateway) {
        if hasHeir { forwarder.drainStreams(except: next.backends) } else { drainStreams() }
        olderClients.handOver(to: next.olderClients)
    }

    /// Ends what would not end by itself: the process is about to stop.
    package func drainStreams() {
        subscriptions.drainSubscriptions()
        forwarder.drainStreams()
        olderClients.drainStreams()
    }

    /// Makes the responder of a connection. It serves all requests of the connection, of all gateways.
    func makeResponder(on connection: HTTPServerConnection) -> Responder {
        Responder(on: connection, maxUnsent: settings.streamBuffer)
    }

    /// Answers what cannot be answered and gone on from.
    func refuseRequest(_ flaw: HTTPRequestFlaw, by responder: Responder) {
        ClientRequest(bytes: 0, by: responder, in: book).finishRequest(.refused(.malformedHTTP(flaw), closes: true))
    }

    /// Begins a request that has come.
    func beginRequest(
        _ source: HTTPServerRequest, by responder: Responder, since start: Instant = .now
    ) -> ClientRequest {
        ClientRequest(bytes: source.body.count, by: responder, in: book, since: start)
    }

    /// Counts what a client does that a later release may refuse.
    func noteToleratedHeader() { book.tally.counts.toleratedHeader() }

    // MARK: Numbers

    package var sessionCounts: SessionCounts { sessions.counts }

    package var backendCounts: [BackendCounts] { backends.counts }

    /// What it keeps, and who listens.
    var keptCounts: (subscriptions: Int, lists: Int, listBytes: Int) {
        (subscriptions.count, lists.keptCount, lists.keptSize)
    }

    /// See `Backends.checkReachability`.
    package func checkBackend(patience: Duration) async -> Bool {
        await backends.checkReachability(patience: patience)
    }

    // MARK: The end

    /// Another gateway has taken over, and no request is in flight here any more: returns when the last session has been
    /// ended on the server, or at once where that gateway has the sessions.
    func retireSessions() async {
        if hasHeir { return }
        lists.cancelReadings()
        await sessions.retirePool()
        sessions.observer = nil
    }

    /// Ends every session. To be called when no request is in flight any more.
    ///
    /// - Parameter end: when to leave those alone that are left.
    func closeSessions(until end: Instant) async {
        lists.cancelReadings()
        await sessions.closeAll(until: end)
    }

    // MARK: Other loops and replicas

    /// Servers told this to other replicas or loops, on sessions of their callers. It is not told to anybody else.
    func applyChangeNotices(_ notices: [PeerChangeNotice]) {
        for told in notices {
            guard let principal = knownCallers.knownPrincipal(told.caller) else { continue }
            lists.applyChangeNotice(told.notice, by: principal)
            sessions.forgetChanged(told.notice, by: principal)
            subscriptions.applyChangeNotice(told.notice, by: principal)
        }
    }
}

extension Gateway: SessionPoolObserver, EraObserver {
    package func sessionChanged(_ event: SessionEvent) {
        // A client that lists on a change notice must not get the old list: it is dropped first.
        lists.applySessionEvent(event)
        subscriptions.applySessionEvent(event)
        if case .changed(let key, let notice) = event, let identity = callers.callerIdentity(of: key.principal) {
            replicas.notifyOthers(notice, of: identity)
        }
    }

    func serverBecameModern() {
        sessions.retireAll(.upgrade)
        // Clients of subscriptions are told to listen again, and then get the server itself.
        subscriptions.endSubscriptions()
    }
}
