package import HTTPTransport
import Legacy
package import Reactor

/// A configuration, as far as one loop carries it out.
package struct ServicePlan: Sendable {
    /// Of each connection of a client.
    package var connection: HTTPServerConnection.Limits
    /// What clients are spoken to by; nil for plain HTTP. Connections that stand keep what they began with.
    package var tls: ListenerTLS?
    /// How many of them may be open at once on this loop.
    package var maxConnections: Int
    /// Of calls that wait for their clients on this loop.
    package var parking: ParkingSettings
    /// Makes what answers, on the loop; `isLoopback` says whether only this machine can reach it, and `before` is what has answered
    /// there until now.
    package var gateway:
        @Sendable (_ loop: Loop, _ memory: LoopMemory, _ isLoopback: Bool, _ before: Gateway?) -> Gateway

    package init(
        connection: HTTPServerConnection.Limits, tls: ListenerTLS?, maxConnections: Int, parking: ParkingSettings,
        gateway:
            @escaping @Sendable (
                _ loop: Loop, _ memory: LoopMemory, _ isLoopback: Bool, _ before: Gateway?
            ) -> Gateway
    ) {
        self.connection = connection
        self.tls = tls
        self.maxConnections = maxConnections
        self.parking = parking
        self.gateway = gateway
    }
}

/// What runs on one loop: a listener, its connections, and the gateway that serves them.
///
/// When the configuration changes, another gateway takes over: each connection's next request is its. The one before ends
/// with its last request.
package final class Service {
    private let loop: Loop
    private let memory: LoopMemory
    private var listener: Listener
    /// Listeners that take no more connections than those that have come already.
    private var finishing: [ObjectIdentifier: Listener] = [:]
    /// The listener of a configuration that has not been taken over yet.
    private var candidate: Listener?
    private var plan: ServicePlan
    private var gateway: Gateway
    /// Gateways that were relieved, and have not ended yet.
    private var relieved: [ObjectIdentifier: Gateway] = [:]
    /// What gateways have counted that are no more.
    private var past = WorkerCounts()
    private var connections: [ObjectIdentifier: HTTPServerConnection] = [:]
    /// On which other loops bring retries, and through the first of them other replicas.
    private var handedOver: [ObjectIdentifier: HTTPServerConnection] = [:]
    private var isDraining = false
    private let changed = Wakeup()

    /// - Parameters:
    ///   - replicas: of this loop alone.
    ///   - claims: of this loop alone; nil where replicas have no store.
    ///   - sharing: the same; nil: no session is shared with other loops and replicas.
    package init(
        on loop: Loop, listener: Listener, plan: ServicePlan, replicas: Replicas, claims: Claims? = nil,
        sharing: SharedSessions? = nil
    ) {
        self.loop = loop
        memory = LoopMemory(
            on: loop, replicas: replicas, claims: claims, sharing: sharing, parking: plan.parking)
        self.listener = listener
        self.plan = plan
        listener.tls = plan.tls
        gateway = plan.gateway(loop, memory, listener.address.isLoopback, nil)
    }

    /// Begins to accept connections.
    package func startListening() {
        memory.claims?.startClaiming()
        gateway.startWatching()
        memory.sharing?.startSharing()
        useListener(listener)
    }

    private func useListener(_ listener: Listener) {
        listener.startAccepting { [unowned self, weak listener] socket in
            let connection = HTTPServerConnection(socket, on: loop, limits: plan.connection)
            connections[ObjectIdentifier(connection)] = connection
            if isDraining { connection.drainConnection() }
            let client = Client(connection, gateway.makeResponder(on: connection))
            // Set before the task runs: over TLS, a request may have come with the end of the handshake. The task takes it away.
            connection.onRequest = { [self] in receiveRequest($0, from: client) }
            loop.spawn {
                await self.serveClient(client)
                self.connections[ObjectIdentifier(connection)] = nil
                listener?.connectionClosed()
                self.changed.signal()
            }
        }
    }

    /// A client's connection, with the request that waits for the connection's task.
    private final class Client {
        let connection: HTTPServerConnection
        let responder: Responder
        var waiting: (gateway: Gateway, errand: Gateway.Errand)?

        init(_ connection: HTTPServerConnection, _ responder: Responder) {
            self.connection = connection
            self.responder = responder
        }
    }

    private func receiveRequest(
        _ source: HTTPServerRequest, from client: Client
    ) -> HTTPServerConnection.Handling {
        switch gateway.receiveRequest(source, by: client.responder) {
        case .taken: return .taken
        case .finished: return .answered
        case .left(let errand):
            client.waiting = (gateway, errand)
            return .left
        }
    }

    /// Nearly all of its time a connection waits here: what is kept of a request meanwhile would be kept by each that is idle.
    private func serveClient(_ client: Client) async {
        while true {
            switch await client.connection.nextArrival() {
            case .closed: return leaveClient(client)
            case .flawed(let flaw): gateway.refuseRequest(flaw, by: client.responder)
            case .request: await serveWaiting(client)
            }
        }
    }

    /// Serves the request that `receiveRequest` has left.
    @inline(never)
    private func serveWaiting(_ client: Client) async {
        guard let (gateway, errand) = client.waiting.take() else { return client.connection.close() }
        if let listening = await gateway.serveErrand(consume errand) { await gateway.serveSubscription(listening) }
        gateway.carrier.requestEnded()
    }

    private func leaveClient(_ client: Client) {
        client.connection.onRequest = nil
        client.responder.leaveResponse()
        // The connection ended in the same moment.
        guard let (gateway, errand) = client.waiting.take() else { return }
        errand.abandonRequest()
        gateway.carrier.requestEnded()
    }

    // MARK: Other loops

    /// Tells it of all loops of the process, of which this is one. To be called before `start`.
    func connectLoops(_ workers: [Worker]) { memory.replicas.connectLoops(workers) }

    /// See `Gateway.applyChangeNotices`.
    func applyChangeNotices(_ notices: [PeerChangeNotice]) { gateway.applyChangeNotices(notices) }

    /// See `Replicas.usePeers`.
    func usePeers(_ members: [ReplicaSettings.Member]) { memory.replicas.usePeers(members) }

    /// A request from another replica was not let in.
    func refusedPeer() { memory.replicas.numbers.refusedHere += 1 }

    /// Serves what another loop of the process brings on a connection.
    func adoptConnection(_ socket: SocketEnd) {
        guard let socket = socket.takeSocket(on: loop) else { return }
        let connection = HTTPServerConnection(socket, on: loop, limits: plan.connection)
        handedOver[ObjectIdentifier(connection)] = connection
        loop.spawn { [self] in
            let responder = gateway.makeResponder(on: connection)
            while case .request(let request) = await connection.nextArrival() {
                let gateway = gateway
                gateway.carrier.requestBegan()
                await gateway.serveHandedOver(request, by: responder)
                gateway.carrier.requestEnded()
            }
            responder.leaveResponse()
            handedOver[ObjectIdentifier(connection)] = nil
            changed.signal()
        }
    }

    // MARK: Numbers

    /// What was counted so far.
    package var counts: WorkerCounts {
        var counts = past
        counts.backends = []
        // Counted in one place for all gateways.
        counts.requests = memory.tally.counts
        counts.parking = memory.calls.counts
        counts.tasks = memory.tasks.counts
        counts.handles = memory.handles.counts
        counts.peers = memory.replicas.numbers
        counts.store = memory.sharing?.storeCounts
        // Those first that there are now; what was counted of others goes with them.
        for each in [gateway] + relieved.values where !each.hasHeir {
            counts.addCounts(Service.gatewayCounts(of: each))
        }
        let current = Set(gateway.backendCounts.map(\.label))
        for before in past.backends where current.contains(before.label) { counts.addCounts(before) }
        counts.backends.removeAll { !current.contains($0.label) }
        counts.connections = connections.count
        return counts
    }

    private static func gatewayCounts(of gateway: Gateway) -> WorkerCounts {
        var counts = WorkerCounts()
        counts.sessions = gateway.sessionCounts
        counts.backends = gateway.backendCounts
        (counts.subscriptions, counts.lists, counts.listBytes) = gateway.keptCounts
        return counts
    }

    /// See `Backends.checkReachability`.
    package func checkBackend(patience: Duration) async -> Bool {
        await gateway.checkBackend(patience: patience)
    }

    // MARK: Another configuration

    /// Takes the address of another configuration, so that nothing can fail any more when that is taken over.
    ///
    /// - Parameter andNext: whether another loop is to listen there too.
    /// - Returns: the address with its port, and the place for that loop.
    package func prepareListener(
        _ place: Listener.Target, andNext: Bool
    ) throws(SystemError) -> (address: SocketAddress, next: Listener.Target?) {
        let listener = try Listener(on: loop, place, maxConnections: 1)
        candidate = listener
        return (listener.address, andNext ? try listener.neighbourTarget() : nil)
    }

    /// The other configuration is not taken over after all.
    package func forgetPrepared() {
        candidate?.closeListener()
        candidate = nil
    }

    /// Takes over another configuration: what is in flight ends under the one before, and every further request is served
    /// under this one. Sessions go on whose server is the same.
    package func applyPlan(_ plan: ServicePlan) {
        self.plan = plan
        if let next = candidate.take() {
            finishListener(listener)
            listener = next
            next.tls = plan.tls
            next.maxConnections = plan.maxConnections
            useListener(next)
        } else {
            listener.tls = plan.tls
            listener.maxConnections = plan.maxConnections
        }
        memory.calls.applySettings(plan.parking)
        let before = gateway
        gateway = plan.gateway(loop, memory, listener.address.isLoopback, before)
        gateway.startWatching()
        before.handOver(to: gateway)
        relieved[ObjectIdentifier(before)] = before
        loop.spawn { await self.endGateway(before) }
    }

    private func endGateway(_ gateway: Gateway) async {
        await gateway.carrier.waitForRequests()
        if !gateway.hasHeir {
            // Those before it whose sessions it has: their requests need these, too.
            for each in relieved.values where each.sessions === gateway.sessions {
                await each.carrier.waitForRequests()
            }
        }
        await gateway.retireSessions()
        defer { relieved[ObjectIdentifier(gateway)] = nil }
        // What it has counted goes on.
        if gateway.hasHeir { return }
        var counts = Service.gatewayCounts(of: gateway)
        // It is no more: only what has happened stays.
        counts.sessions.open = 0
        counts.sessions.opening = 0
        (counts.subscriptions, counts.lists, counts.listBytes) = (0, 0, 0)
        for index in counts.backends.indices {
            counts.backends[index].connections.idle = 0
            counts.backends[index].isAside = false
        }
        past.addCounts(counts)
        let current = Set(self.gateway.backendCounts.map(\.label))
        past.backends.removeAll { !current.contains($0.label) }
    }

    // MARK: The end

    private func finishListener(_ listener: Listener) {
        finishing[ObjectIdentifier(listener)] = listener
        listener.onFinished = { [unowned self, unowned listener] in
            finishing[ObjectIdentifier(listener)] = nil
            changed.signal()
        }
        listener.finishAccepting()
    }

    /// Accepts no further connection, and returns when no call waits for its client: no other process could continue it.
    package func stopAccepting(until end: Instant) async {
        finishListener(listener)
        for each in [gateway] + relieved.values { each.drainStreams() }
        await memory.calls.waitForRetries(until: end, on: loop)
        // Without others, hardly a client finds its task again: no new connection is accepted.
        if memory.replicas.hasReplicas { await memory.tasks.waitForClients(until: end) }
    }

    /// Lets what is in flight finish, then ends every session on the server. To be called after
    /// ``stopAccepting(until:)``.
    package func drainConnections(in time: DrainTime) async {
        isDraining = true
        for connection in connections.values { connection.drainConnection() }
        await waitForConnections(until: time.endOfCalls)
        for listener in finishing.values { listener.closeListener() }
        for connection in connections.values { connection.close() }
        for connection in handedOver.values { connection.close() }
        memory.calls.stopCalls()
        memory.tasks.stopTasks()
        memory.olderSessions.endAllSessions(.closed)
        for each in [gateway] + relieved.values { await each.closeSessions(until: time.end) }
        await memory.olderSessions.waitForEnds(until: time.end, on: loop)
        memory.claims?.endClaiming()
        memory.sharing?.endSharing()
    }

    /// Waits until there is no connection any more, and none to come.
    private func waitForConnections(until end: Instant) async {
        await changed.wait(
            while: { !(connections.isEmpty && handedOver.isEmpty && finishing.isEmpty) }, until: end, on: loop)
    }
}

/// When the end has come how far.
package struct DrainTime: Sendable {
    /// Calls that wait for their clients are waited for until then: what comes after takes its time too.
    package let endOfParking: Instant
    /// Calls are cut.
    package let endOfCalls: Instant
    /// Sessions are left alone.
    package let end: Instant

    /// - Parameter timeout: for all of it. Some there must be, to tell the server of its sessions.
    package init(from now: Instant, timeout: Duration) {
        let timeout = max(timeout, .milliseconds(250))
        end = now + timeout
        endOfCalls = end + (.zero - min(.seconds(2), timeout / 4))
        endOfParking = endOfCalls + .milliseconds(-1500)
    }
}

/// The door through which other threads reach the service of a loop.
package actor Worker: Sibling {
    nonisolated package let loop: Loop
    private let service: Service

    package nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    package init(_ service: sending Service, on loop: Loop) {
        self.service = service
        self.loop = loop
    }

    /// See `Service.connectLoops`.
    package func connectLoops(_ workers: [Worker]) { service.connectLoops(workers) }

    package func startListening() { service.startListening() }

    /// See `Gateway.applyChangeNotices`.
    package func receiveNotices(_ notices: [PeerChangeNotice]) { service.applyChangeNotices(notices) }

    /// See `Replicas.usePeers`.
    package func usePeers(_ members: [ReplicaSettings.Member]) { service.usePeers(members) }

    /// See `Service.refusedPeer`.
    package func refusedPeer() { service.refusedPeer() }

    /// See `Service.adoptConnection`.
    package func adoptConnection(_ end: SocketEnd) { service.adoptConnection(end) }

    /// See `Service.gatewayCounts`.
    package func loopCounts() -> WorkerCounts { service.counts }

    /// See `Service.checkBackend`.
    package func checkBackend(patience: Duration) async -> Bool { await service.checkBackend(patience: patience) }

    /// See `Service.prepareListener`.
    package func prepareListener(
        _ place: Listener.Target, andNext: Bool
    ) throws(SystemError) -> (address: SocketAddress, next: Listener.Target?) {
        try service.prepareListener(place, andNext: andNext)
    }

    /// See `Service.forgetPrepared`.
    package func forgetPrepared() { service.forgetPrepared() }

    /// See `Service.applyPlan`.
    package func applyPlan(_ plan: ServicePlan) { service.applyPlan(plan) }

    /// See `Service.stopAccepting`.
    package func stopAccepting(until end: Instant) async { await service.stopAccepting(until: end) }

    /// See `Service.drainConnections`.
    package func drainConnections(in time: DrainTime) async { await service.drainConnections(in: time) }
}
