import Crypto
import Foundation
import HTTPTransport
import HTTPWire
import Legacy
import Reactor
import Telemetry
import TestSupport
import Translation

@testable import Gateway

/// The whole of a loop in front of a scripted server, and clients on sockets.
final class ServedLoop {
    /// What is not as usual.
    struct Changes {
        var callsAtOnce: Int?
        var maxSessions = 8
        var requestTimeout: Duration = .seconds(30)
        var isInteractive = true
        var handshake: Duration = .seconds(10)
        var era: Era? = .legacy
        /// Whether the server is the one of the configuration before.
        var keepsServer = false
        var tasks = TaskSettings.off
    }

    let server: ScriptedLegacyServer
    let service: Service
    let address: SocketAddress
    let loop: Loop
    private let replicas: Replicas
    private let affinity = SessionAffinity(key: HashKey())
    private let paths = AuthorizationPaths()
    private let key = HashKey()
    private let seal = Seal(ring: KeyRing([SecureRandom.bytes(KeyRing.keySize)]), deployment: "/mcp")
    let log: Log

    init(
        on loop: Loop, _ changes: Changes = Changes(),
        _ script: @escaping ScriptedLegacyServer.Script = { _, _ in false }
    )
        throws
    {
        guard let any = SocketAddress(host: "127.0.0.1", port: 0) else { preconditionFailure("no address") }
        self.loop = loop
        server = try ScriptedLegacyServer(on: loop, script)
        log = Log(level: .error, format: .json, descriptor: STDERR_FILENO)
        replicas = Replicas(
            ReplicaSettings(
                name: "r", peers: [], sharesChangeNotices: false, requestTimeout: .seconds(30), silence: .seconds(30),
                head: HTTPLimits()), index: 0, on: loop, seal: seal, log: log)
        let listener = try Listener(on: loop, address: any, maxConnections: 1000, shared: false)
        address = listener.address
        service = Service(
            on: loop, listener: listener,
            plan: ServedLoop.plan(for: server, changes, affinity, paths, key, seal, log), replicas: replicas)
        service.startListening()
    }

    /// Takes over another configuration, with a server of its own unless it keeps the server of the one before.
    func reload(_ changes: Changes) {
        service.applyPlan(ServedLoop.plan(for: server, changes, affinity, paths, key, seal, log))
    }

    /// Ends everything: sessions, connections and the server.
    func end() async {
        let now = Instant.now
        await service.stopAccepting(until: now)
        await service.drainConnections(in: DrainTime(from: now, timeout: .milliseconds(300)))
        server.close()
        log.flushLines(within: .seconds(5))
    }

    private static func plan(
        for server: ScriptedLegacyServer, _ changes: Changes, _ affinity: SessionAffinity, _ paths: AuthorizationPaths,
        _ key: HashKey, _ seal: Seal, _ log: Log
    ) -> ServicePlan {
        let port = server.address.port
        return ServicePlan(
            connection: HTTPServerConnection.Limits(
                maxBody: 1 << 20, headerTimeout: .seconds(10), bodyTimeout: .seconds(10), idleTimeout: .seconds(60)),
            tls: nil, maxConnections: 1000,
            parking: ParkingSettings(parkTimeout: .seconds(30), maxParked: 16, maxParkedPerPrincipal: 16),
            gateway: { loop, memory, _, before in
                let backend = Backend(
                    at: .host("127.0.0.1", port: port), label: "server", hostField: "127.0.0.1", target: "/mcp",
                    transport: .http, on: loop,
                    limits: Backend.Limits(
                        maxMessage: 1 << 20, streamBuffer: 1 << 16, head: HTTPLimits(), maxDepth: 32,
                        silence: .seconds(30), handshake: changes.handshake, connect: .seconds(5)), log: log)
                let kept = changes.keepsServer ? before : nil
                let backends = kept?.backends ?? Backends([backend])
                let sessions =
                    kept?.sessions
                    ?? SessionPool(
                        backends: backends,
                        limits: SessionPool.Limits(
                            maxSessions: changes.maxSessions, maxPerPrincipal: changes.maxSessions,
                            idleTimeout: .seconds(60), maxSending: 64, callsAtOnce: changes.callsAtOnce),
                        notices: BackendNotices(), log: log)
                let settings = GatewaySettings(
                    path: "/mcp", door: Door(allowedOrigins: [], allowedHosts: [], isLoopback: true),
                    forwardsLegacyClients: true, callerFields: CallerFields(isolateBy: ["authorization"]),
                    era: changes.era, caching: CachePolicy(ttlMs: 30000, scope: .private),
                    requestTimeout: changes.requestTimeout, streamBuffer: 65536, trustsAnnotations: true, maxDepth: 32,
                    isInteractive: changes.isInteractive, tasks: changes.tasks)
                return Gateway(
                    settings: settings, backends: backends, sessions: sessions, memory: memory, affinity: affinity,
                    paths: paths, key: key, seal: seal, log: log, after: before)
            })
    }

    // MARK: Clients

    func connect() async throws -> Client { Client(try await Peer.connect(to: address, on: loop)) }

    /// A client on one connection, whose answers come one after the other.
    final class Client {
        let peer: Peer
        private var lastID = 0

        fileprivate init(_ peer: Peer) { self.peer = peer }

        /// Sends a request of 2026-07-28.
        ///
        /// - Parameters:
        ///   - params: members before `_meta`, each followed by a comma.
        ///   - meta: further members of `_meta`, each after a comma.
        func send(
            _ method: String, name: String? = nil, _ params: String = "", capabilities: String = "{}",
            meta: String = "", fields: String = ""
        ) {
            lastID += 1
            let version = #""io.modelcontextprotocol/protocolVersion":"2026-07-28""#
            let declared = #""io.modelcontextprotocol/clientCapabilities":\#(capabilities)"#
            let body =
                #"{"jsonrpc":"2.0","id":\#(lastID),"method":"\#(method)","params":{\#(params)"_meta":{\#(version),\#(declared)\#(meta)}}}"#
            let nameField = name.map { "Mcp-Name: \($0)\r\n" } ?? ""
            peer.write(
                "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                    + "Accept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2026-07-28\r\n"
                    + "Mcp-Method: \(method)\r\n\(nameField)\(fields)Content-Length: \(body.utf8.count)\r\n\r\n\(body)")
        }

        /// Calls the tool `add`.
        func call(
            _ params: String = "", capabilities: String = "{}", meta: String = "", fields: String = ""
        ) {
            send(
                "tools/call", name: "add", #""name":"add","arguments":{},"# + params, capabilities: capabilities,
                meta: meta, fields: fields)
        }

        /// The next answer, with the id of the last request.
        func answer() async throws -> String {
            let end = #""id":\#(lastID)"#
            try await peer.until("an answer to \(lastID)") { peer in
                // Whole where its length has come, or the stream has ended.
                guard peer.text.contains(end) else { return peer.hasEnded }
                if peer.text.contains("text/event-stream") { return peer.text.hasSuffix("0\r\n\r\n") }
                guard let head = peer.text.range(of: "\r\n\r\n"),
                    let length = peer.text.range(of: "content-length: "),
                    let size = Int(peer.text[length.upperBound...].prefix { $0.isNumber })
                else { return false }
                return peer.text[head.upperBound...].utf8.count >= size
            }
            defer { peer.clear() }
            return peer.text
        }

        func leave() { peer.socket.close() }
    }

    /// Waits until the server was asked something.
    func until(_ what: String, _ condition: () -> Bool) async throws {
        try await eventually(what, on: loop, server.changed, condition)
    }
}
