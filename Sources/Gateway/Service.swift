package import HTTPTransport
package import Legacy
package import Reactor

/// What runs on one loop: a listener, its connections, and the gateway that serves them.
package final class Service {
    private let loop: Loop
    private let listener: Listener
    private let gateway: Gateway
    private let sessions: SessionPool
    private let calls: ParkedCalls
    private let backend: Backend
    private let replicas: Replicas?
    private let limits: HTTPServerConnection.Limits
    private var connections: [ObjectIdentifier: HTTPServerConnection] = [:]
    /// On which other loops bring retries, and through the first of them other replicas.
    private var handedOver: [ObjectIdentifier: HTTPServerConnection] = [:]
    private let emptied = Wakeup()

    package init(
        on loop: Loop, listener: Listener, gateway: Gateway, sessions: SessionPool, calls: ParkedCalls,
        backend: Backend, replicas: Replicas?, limits: HTTPServerConnection.Limits
    ) {
        self.loop = loop
        self.listener = listener
        self.gateway = gateway
        self.sessions = sessions
        self.calls = calls
        self.backend = backend
        self.replicas = replicas
        self.limits = limits
    }

    /// Begins to accept connections.
    package func start() {
        gateway.start()
        listener.start { [unowned self] socket in
            let connection = HTTPServerConnection(socket, on: loop, limits: limits)
            connections[ObjectIdentifier(connection)] = connection
            loop.spawn { await self.serve(connection) }
        }
    }

    private func serve(_ connection: HTTPServerConnection) async {
        await gateway.serve(connection)
        connections[ObjectIdentifier(connection)] = nil
        listener.connectionClosed()
        if connections.isEmpty { emptied.signal() }
    }

    /// Tells it of all loops of the process, of which this is one. To be called before `start`.
    func connect(_ shards: [Shard]) { replicas?.connect(shards) }

    /// See `Gateway.hear`.
    func hear(_ cues: [PeerCue]) { gateway.hear(cues) }

    /// Serves what another loop of the process brings on a connection.
    func adopt(_ end: SocketEnd) {
        guard let socket = end.take(on: loop) else { return }
        let connection = HTTPServerConnection(socket, on: loop, limits: limits)
        handedOver[ObjectIdentifier(connection)] = connection
        loop.spawn { [self] in
            await gateway.serveHandedOver(connection)
            handedOver[ObjectIdentifier(connection)] = nil
            if handedOver.isEmpty { emptied.signal() }
        }
    }

    /// What was counted so far.
    package var counts: ShardCounts {
        var counts = ShardCounts()
        counts.requests = gateway.counts
        counts.sessions = sessions.counts
        counts.parking = calls.counts
        counts.backend = backend.connectionCounts
        counts.connections = connections.count
        return counts
    }

    /// See `Backend.checkReachability`.
    package func checkBackend(patience: Duration) async -> Bool {
        await backend.checkReachability(patience: patience)
    }

    /// Stops accepting, lets what is in flight finish for as long as `timeout`, then closes everything.
    package func drain(timeout: Duration) async {
        listener.close()
        for connection in connections.values { connection.drain() }
        gateway.drain()
        let deadline = Deadline(on: loop)
        var isOver = false
        deadline.onExpiry = { [emptied] in
            isOver = true
            emptied.signal()
        }
        deadline.set(after: timeout)
        while !connections.isEmpty, !isOver { await emptied.wait() }
        deadline.set(nil)
        for connection in connections.values { connection.close() }
        calls.stop()
        await gateway.close()
    }
}

/// The door through which other threads reach the service of a loop.
package actor Shard {
    nonisolated package let loop: Loop
    private let service: Service

    package nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    package init(_ service: sending Service, on loop: Loop) {
        self.service = service
        self.loop = loop
    }

    /// See `Service.connect`.
    package func connect(_ shards: [Shard]) { service.connect(shards) }

    package func start() { service.start() }

    /// See `Gateway.hear`.
    func hear(_ cues: [PeerCue]) { service.hear(cues) }

    /// See `Service.adopt`.
    func adopt(_ end: SocketEnd) { service.adopt(end) }

    /// See `Service.counts`.
    package func counts() -> ShardCounts { service.counts }

    /// See `Service.checkBackend`.
    package func checkBackend(patience: Duration) async -> Bool { await service.checkBackend(patience: patience) }

    /// See `Service.drain`.
    package func drain(timeout: Duration) async { await service.drain(timeout: timeout) }
}
