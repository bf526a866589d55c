import Admin
import Configuration
import Crypto
import Gateway
import HTTPTransport
import HTTPWire
import Legacy
import MCP
import Reactor
import Telemetry
import Translation

/// Makes the parts of Remora from the configuration.
struct Wiring: Sendable {
    private let configuration: Configuration
    private let log: Log
    private let key = HashKey()
    private let seal: Seal
    /// Names this process among all that may share a key.
    private let name: String

    init(_ configuration: Configuration, log: Log) {
        self.configuration = configuration
        self.log = log
        // Without configured keys, one of this process: what it sealed ends with it.
        let ring = KeyRing(configuration.replicas) ?? KeyRing([SecureRandom.bytes(KeyRing.keySize)])
        // What replicas have in common, and two deployments that were given the same keys may not: their servers may
        // have different addresses.
        seal = Seal(ring: ring, deployment: configuration.listen.path)
        name =
            configuration.replicas.group?.id
            ?? SecureRandom.bytes(8).map { String($0, radix: 16) }.joined(separator: ".")
    }

    /// What serves on one loop.
    struct Parts {
        let service: Service
        let address: SocketAddress
    }

    /// The service of a process that has one loop only.
    func parts(on loop: Loop) throws(SystemError) -> Parts {
        let listener = try Listener(
            on: loop, address: listenAddress, maxConnections: configuration.limits.maxConnections, shared: false,
            mode: configuration.listen.socketMode)
        return Parts(service: service(on: loop, index: 0, of: 1, listener: listener), address: listener.address)
    }

    /// A shard for each loop, all listening on the same address.
    func shards(on loops: [Loop]) throws(SystemError) -> [Shard] {
        var shards: [Shard] = []
        var address = listenAddress
        let isShared = loops.count > 1
        let maxConnections = configuration.limits.maxConnections / loops.count
        // `SO_REUSEPORT` lets another Remora share the port by mistake: the first attempt is made without it.
        if isShared, address.port != 0 {
            try Listener(on: loops[0], address: address, maxConnections: 1, shared: false).close()
        }
        var shares: [Listener.Share] = []
        for (index, loop) in loops.enumerated() {
            if let share = shares.popLast() {
                let listener = Listener(on: loop, share)
                shards.append(Shard(service(on: loop, index: index, of: loops.count, listener: listener), on: loop))
                continue
            }
            let listener = try Listener(
                on: loop, address: address, maxConnections: maxConnections, shared: isShared,
                mode: configuration.listen.socketMode)
            address = listener.address
            // A Unix socket has one backlog, from which all loops take.
            if address.isUnix { for _ in loops.dropFirst() { shares.append(try listener.share()) } }
            shards.append(Shard(service(on: loop, index: index, of: loops.count, listener: listener), on: loop))
        }
        log.write(.info, "listening") { line in
            line.field("address", "\(address)")
            line.field("path", configuration.listen.path)
            line.field("version", Version.current)
        }
        return shards
    }

    /// The admin listener, on a loop that serves clients too; nil where none is configured.
    func admin(on loop: Loop, shards: [Shard]) throws(SystemError) -> Admin? {
        guard let address = configuration.admin.address.map(SocketAddress.init) else { return nil }
        let service = try AdminService(
            on: loop, address: address, shards: shards,
            settings: AdminSettings(
                door: Door(
                    allowedOrigins: [], allowedHosts: configuration.admin.allowedHosts, isLoopback: address.isLoopback),
                backendName: configuration.backend.url.origin,
                maxSessions: configuration.sessions.max, maxConnections: configuration.limits.maxConnections,
                threads: configuration.threads),
            log: log)
        log.write(.info, "admin_listening") { $0.field("address", "\(service.address)") }
        return Admin(service, on: loop)
    }

    private var listenAddress: SocketAddress { SocketAddress(configuration.listen.address) }

    /// The listener for other replicas, on a loop that serves clients too; nil where there are none.
    func peerDoor(on loop: Loop, shards: [Shard]) throws(SystemError) -> PeerDoor? {
        guard let group = configuration.replicas.group else { return nil }
        guard let address = SocketAddress(host: group.address, port: group.port) else {
            preconditionFailure("the configuration let an impossible address through")
        }
        let service = try PeerService(
            on: loop, address: address, maxConnections: configuration.limits.maxConnections,
            maxBody: configuration.limits.maxBody, settings: replicaSettings, shards: shards, pass: seal, log: log)
        log.write(.info, "peers_listening") { line in
            line.field("address", "\(service.address)")
            line.field("replica", group.id)
        }
        return PeerDoor(service, on: loop)
    }

    private var replicaSettings: ReplicaSettings {
        let group = configuration.replicas.group
        return ReplicaSettings(
            name: name, peers: (group?.peers ?? []).map { .init(name: $0.id, endpoint: .host($0.host, port: $0.port)) },
            sharesCues: group?.sharesCues ?? false, requestTimeout: configuration.limits.requestTimeout,
            // Four signs of life, none of which came.
            silence: max(.seconds(60), configuration.limits.keepAliveInterval * 4), head: headLimits)
    }

    private func service(
        on loop: Loop, index: Int, of shards: Int, listener: sending Listener
    ) -> sending Service {
        let replicas = Replicas(replicaSettings, index: index, on: loop, seal: seal)
        let limits = configuration.limits
        let backend = backend(on: loop)
        let sessions = SessionPool(
            backend: backend,
            limits: SessionPool.Limits(
                maxSessions: max(1, configuration.sessions.max / shards),
                maxPerPrincipal: max(1, configuration.sessions.maxPerPrincipal / shards),
                idleTimeout: configuration.sessions.idleTimeout))
        let interaction = configuration.interaction
        let calls = ParkedCalls(
            owner: replicas.owner,
            settings: ParkingSettings(
                parkTimeout: interaction.parkTimeout, maxParked: max(1, interaction.maxParked / shards),
                maxParkedPerPrincipal: max(1, interaction.maxParkedPerPrincipal / shards)))
        let gateway = Gateway(
            settings: gatewaySettings(isLoopback: listener.address.isLoopback), backend: backend, sessions: sessions,
            calls: calls, replicas: replicas, key: key, seal: seal, log: log)
        return Service(
            on: loop, listener: listener, gateway: gateway, sessions: sessions, calls: calls, backend: backend,
            replicas: replicas,
            limits: HTTPServerConnection.Limits(
                head: headLimits, maxBody: limits.maxBody, headerTimeout: limits.headerTimeout,
                bodyTimeout: limits.bodyTimeout, idleTimeout: limits.idleTimeout,
                keepAliveInterval: limits.keepAliveInterval))
    }

    private func backend(on loop: Loop) -> Backend {
        let url = configuration.backend.url
        let limits = configuration.limits
        return Backend(
            at: url.socketPath.map { .unix(path: $0) } ?? .host(url.host, port: url.port), hostField: url.hostField,
            target: url.target, on: loop,
            limits: Backend.Limits(
                maxMessage: limits.maxResponse, streamBuffer: limits.streamBuffer, head: headLimits,
                maxDepth: limits.maxDepth,
                silence: limits.backendIdleTimeout,
                connect: limits.connectTimeout))
    }

    /// Of both sides: a head has no more reason to be long in an answer than in a request.
    private var headLimits: HTTPLimits {
        var head = HTTPLimits()
        head.maxHead = configuration.limits.maxHead
        return head
    }

    private func gatewaySettings(isLoopback: Bool) -> GatewaySettings {
        let listen = configuration.listen
        let cache = configuration.cache
        return GatewaySettings(
            path: listen.path,
            door: Door(
                allowedOrigins: listen.allowedOrigins, allowedHosts: listen.allowedHosts, isLoopback: isLoopback),
            passesLegacyClients: listen.legacyClients == .pass, isolateBy: configuration.sessions.isolateBy,
            publicURL: listen.publicURL.map { PublicURL(origin: $0.origin, path: $0.path ?? listen.path) },
            era: configuration.backend.era.known, probeInterval: configuration.backend.probeInterval,
            caching: CachePolicy(
                ttlMs: Int(cache.ttl.nanoseconds / 1_000_000), scope: cache.scope == .public ? .public : .private),
            requestTimeout: configuration.limits.requestTimeout, streamBuffer: configuration.limits.streamBuffer,
            trustsAnnotations: configuration.backend.annotations == .trust, maxDepth: configuration.limits.maxDepth,
            isInteractive: configuration.backend.interactive)
    }
}

extension KeyRing {
    /// The ring of a configuration; nil where it has no keys. What was sealed by others no longer opens once
    /// `Seal.use` was given it, so that keys are changed by giving one ring after the other.
    init?(_ configuration: Configuration.Replicas) {
        guard !configuration.keys.isEmpty else { return nil }
        self.init(configuration.keys)
    }
}

extension SocketAddress {
    init(_ address: ListenAddress) {
        switch address {
        case .unix(let path): self.init(unixPath: path)
        case .tcp(let host, let port):
            guard let address = SocketAddress(host: host, port: port) else {
                preconditionFailure("the configuration let an impossible address through")
            }
            self = address
        }
    }
}

extension Configuration.Era {
    /// The era that it says; nil where the server is to be asked.
    fileprivate var known: Era? {
        switch self {
        case .auto: nil
        case .legacy: .legacy
        case .modern: .modern
        }
    }
}
