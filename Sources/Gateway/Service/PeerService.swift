package import Crypto
import HTTPTransport
import HTTPWire
import Legacy
package import Reactor
package import Telemetry

/// The listener for other replicas. It accepts requests with a token only, and forwards each of them to the loop that
/// it is for.
///
/// There is one in a process, because each token is valid once in the whole process.
package final class PeerService {
    /// Replicas use a connection for one retry, and send it at once.
    private static let (headerTimeout, idleTimeout): (Duration, Duration) = (.seconds(5), .seconds(75))
    /// Tokens that may be used while one is remembered: several thousand retries a second.
    private static let maxNonces = 1 << 18
    /// Between two lines about refused requests.
    private static let silence: Duration = .seconds(10)

    private let loop: Loop
    private let listener: Listener
    private let settings: ReplicaSettings
    private let workers: [any Sibling]
    private let token: PeerToken
    private let limits: HTTPServerConnection.Limits
    private let log: Log
    private var nonces = NonceMemory(span: PeerToken.memory, max: PeerService.maxNonces, at: .now)
    private var connections: [ObjectIdentifier: HTTPServerConnection] = [:]
    private var isDraining = false
    private var refused = 0
    private var quietUntil: Instant

    /// Binds and listens, but accepts nothing before `start`.
    ///
    /// - Parameters:
    ///   - maxBody: of a client's request.
    ///   - workers: all loops of the process, in their order.
    package init(
        on loop: Loop, address: SocketAddress, maxConnections: Int, maxBody: Int, settings: ReplicaSettings,
        workers: [any Sibling], seal: Seal, log: Log
    ) throws(SystemError) {
        self.loop = loop
        self.settings = settings
        self.workers = workers
        self.log = log
        token = PeerToken(seal)
        quietUntil = loop.now
        var head = settings.head
        // The client's own, and the token.
        head.maxHead += 1024
        limits = HTTPServerConnection.Limits(
            head: head, maxBody: max(maxBody, ChangeNoticeBatch.maxSize), headerTimeout: PeerService.headerTimeout,
            bodyTimeout: PeerService.headerTimeout, idleTimeout: PeerService.idleTimeout)
        listener = try Listener(on: loop, address: address, maxConnections: maxConnections, shared: false)
    }

    package var address: SocketAddress { listener.address }

    func startListening() {
        // The service is there for as long as the process, and has the listener.
        listener.startAccepting { [unowned self] socket in
            let connection = HTTPServerConnection(socket, on: loop, limits: limits)
            connections[ObjectIdentifier(connection)] = connection
            loop.spawn { await self.serveConnection(connection) }
        }
    }

    /// Accepts retries of calls on this replica only: it takes over no others, because it stops soon.
    func drainRetries() { isDraining = true }

    func closeListener() {
        listener.closeListener()
        for connection in connections.values { connection.close() }
    }

    private func serveConnection(_ connection: HTTPServerConnection) async {
        await answerAll(on: connection)
        connections[ObjectIdentifier(connection)] = nil
        listener.connectionClosed()
    }

    private func answerAll(on connection: HTTPServerConnection) async {
        var admitted: (task: PeerTask, body: [UInt8])?
        // Told while this runs.
        connection.onHead = { [unowned self] head in
            admitted = admitTask(head)
            // A request without a valid token gets no information, and its body is not read.
            return admitted == nil ? refusalResponse(PeerTask(head.target) == nil ? 404 : 401) : nil
        }
        while true {
            switch await connection.nextArrival() {
            case .closed:
                return
            case .flawed:
                connection.respond(refusalResponse(400))
            case .request(let request):
                guard let (task, body) = admitted.take(), SHA256.digest(request.body) == body else {
                    connection.respond(refusalResponse(401))
                    continue
                }
                await performTask(task, request, on: connection)
            }
        }
    }

    /// The task of a request, and the digest that its body must have; `nil` if the request is refused.
    private func admitTask(_ head: HTTPRequestHead) -> (task: PeerTask, body: [UInt8])? {
        guard head.method == .post, let task = PeerTask(head.target), head.fields.count(of: PeerToken.field) == 1,
            let text = head.fields.first(PeerToken.field), let digest = PeerToken.requestDigest(of: head),
            let body = token.verifyToken(Array(text.bytes), of: digest, to: settings.name, at: .now, &nonces)
        else { return nil }
        return (task, body)
    }

    private func refusalResponse(_ status: Int) -> HTTPResponse {
        noteRefusal()
        return HTTPResponse(status: status, closes: true)
    }

    private func noteRefusal() {
        refused += 1
        if let first = workers.first { loop.spawn { await first.refusedPeer() } }
        guard loop.now >= quietUntil else { return }
        log.write(.warning, "peer_refused") { line in
            line.field("count", refused)
            line.field("advice", "check replicas.keys and the clocks of all replicas, and who else reaches the address")
        }
        refused = 0
        quietUntil = loop.now + PeerService.silence
    }

    private func performTask(_ task: PeerTask, _ request: HTTPServerRequest, on connection: HTTPServerConnection) async
    {
        let worker: any Sibling
        switch task {
        case .serveRetry(let loop):
            // After a restart with fewer loops, no loop has the call. The first one says so.
            worker = workers[workers.indices.contains(loop) ? loop : 0]
        case .takeOver where isDraining:
            return connection.respond(PeerResponse.gone)
        case .takeOver(let call):
            worker = workers[Replicas.takeOverLoop(of: call, among: workers.count)]
        case .notify:
            guard let notices = ChangeNoticeBatch.readBatch(request.body) else {
                return connection.respond(refusalResponse(400))
            }
            for worker in workers { await worker.receiveNotices(notices) }
            return connection.respond(HTTPResponse(status: 204))
        }
        let forwarded = ForwardedRequest(
            request, to: SiblingTarget(worker: worker, loop: loop, limits: settings.head), answering: connection,
            timeouts: ForwardedRequest.Timeouts(total: settings.requestTimeout, silence: settings.silence))
        guard
            case .failed(let error) = await forwarded.relayResponse(
                PeerMessage.retryMessage(request, as: task, from: nil, to: nil))
        else { return }
        // Out of descriptors, so that nothing was delivered; or about to stop, so that the delivery is uncertain.
        connection.respond(error.kind == .unavailable ? PeerResponse.gone : HTTPResponse(status: 503, closes: true))
    }
}

/// The door through which other threads reach the listener for replicas.
package actor PeerDoor {
    nonisolated private let loop: Loop
    private let service: PeerService
    /// Where it listens.
    package nonisolated let address: SocketAddress

    package nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    package init(_ service: sending PeerService, on loop: Loop) {
        address = service.address
        self.service = service
        self.loop = loop
    }

    package func startListening() { service.startListening() }

    /// See `PeerService.drainRetries`.
    package func drainRetries() { service.drainRetries() }

    package func closeListener() { service.closeListener() }
}
