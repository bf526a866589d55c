import Admin
package import Configuration
import Crypto
package import Gateway
import HTTPTransport
import HTTPWire
import Legacy
import MCP
package import Reactor
import Store
package import Telemetry
import Translation

/// What is made once and kept by every configuration.
package struct Secrets: Sendable {
    /// Of the callers' hashes: a caller has one hash in the log for as long as Remora runs.
    let callers = HashKey()
    /// Where the sessions of older clients are.
    let affinity: SessionAffinity
    /// What servers have named beside their endpoint.
    let paths = AuthorizationPaths()
    /// Of what clients and other replicas carry.
    let seal: Seal
    /// Names this process among all that may share a key.
    let name: String
    /// Another one in each process: one that was started again under the same name is told from the one before.
    let process = String(decoding: Base64URL.encodeBytes(SecureRandom.bytes(12)), as: UTF8.self)
    /// What the log was told of the servers.
    let notices = BackendNotices()
    /// Kills what commands have started, should this process die.
    let wardens = WardenStart()
    /// A key of this process, where none is configured: what it sealed ends with it.
    private let ring = KeyRing([SecureRandom.bytes(KeyRing.keySize)])

    package init(_ configuration: Configuration) {
        affinity = SessionAffinity(key: callers)
        seal = Seal(ring: KeyRing(configuration.replicas) ?? ring, deployment: Secrets.deploymentName(configuration))
        name =
            configuration.replicas.group?.id
            ?? SecureRandom.bytes(8).map { String($0, radix: 16) }.joined(separator: ".")
    }

    /// Another configuration is in force.
    func useConfiguration(_ configuration: Configuration) {
        seal.useRing(KeyRing(configuration.replicas) ?? ring)
        seal.useDeployment(deployment: Secrets.deploymentName(configuration))
    }

    /// What replicas have in common, and two deployments that were given the same keys may not: their servers may have
    /// different addresses.
    private static func deploymentName(_ configuration: Configuration) -> String { configuration.listen.path }
}

/// Makes the parts of Remora from the configuration.
///
/// A reload makes a new one: whatever the configuration names (keys, certificates) is read when a wiring is made, and
/// nothing is changed before that has gone well.
package struct Wiring: Sendable {
    let configuration: Configuration
    private let log: Log
    private let secrets: Secrets
    /// Nil where no configuration had a command so far, or it could not be started.
    private let warden: Warden?
    private let descriptors: DescriptorPlan

    package init(_ configuration: Configuration, secrets: Secrets, log: Log) {
        self.configuration = configuration
        self.secrets = secrets
        self.log = log
        warden = configuration.backends[0].isReachedByHTTP ? nil : secrets.wardens.startWarden(log)
        let wanted = DescriptorPlan(configuration).wanted
        let limit = DescriptorLimit.raiseLimit(to: wanted)
        descriptors = DescriptorPlan(configuration, limit: limit)
        guard descriptors.clients < configuration.limits.maxConnections else { return }
        log.write(.warning, "few_descriptors") { line in
            line.field("limit", limit)
            line.field("wanted", wanted)
            line.field("max_connections", descriptors.clients)
            line.field(
                "advice", "raise the hard limit of open files (LimitNOFILE, ulimit -n), or lower limits.max_connections"
            )
        }
    }

    // MARK: Listening

    /// Where the first of so many loops listens on a loop's behalf; each other one listens beside the one before.
    ///
    /// `SO_REUSEPORT`, by which loops share a port, lets another Remora share it by mistake: the first attempt is made
    /// without it.
    func listenPlace(loops: Int, first loop: Loop) throws(SystemError) -> Listener.Target {
        let address = SocketAddress(configuration.listen.address)
        if loops > 1, !address.isUnix, address.port != 0 {
            try Listener(on: loop, address: address, maxConnections: 1, shared: false).closeListener()
        }
        return .at(address, shared: loops > 1, mode: configuration.listen.socketMode)
    }

    /// Nil: there is no admin listener.
    var adminAddress: SocketAddress? { configuration.admin.address.map(SocketAddress.init) }

    /// `http`, or `https` where clients are spoken to over TLS.
    var scheme: StaticString { configuration.listen.tls == nil ? "http" : "https" }

    private var listenerTLS: ListenerTLS? {
        guard let tls = configuration.listen.tls else { return nil }
        return ListenerTLS(tls.context, timeout: configuration.limits.headerTimeout) { [log] client, error in
            // A peer that only connects, as probes do, is not worth a line.
            log.write(error == .silent ? .debug : .info, "tls_refused") { line in
                if let client { line.field("client", "\(client)") }
                line.field("reason", error.reason)
            }
        }
    }

    // MARK: Services

    /// What serves on one loop.
    package struct Parts {
        package let service: Service
        package let address: SocketAddress
    }

    /// The service of a process that has one loop only.
    package func makeParts(on loop: Loop) throws(SystemError) -> Parts {
        let plan = servicePlan(workers: 1)
        let listener = try Listener(
            on: loop, try listenPlace(loops: 1, first: loop), maxConnections: plan.maxConnections)
        let replicas = Replicas(replicaSettings, index: 0, on: loop, seal: secrets.seal, log: log)
        return Parts(
            service: Service(
                on: loop, listener: listener, plan: plan, replicas: replicas, sharing: makeSharing(on: loop)),
            address: listener.address)
    }

    /// A worker for each loop, all listening on the same address.
    func makeWorkers(on loops: [Loop]) throws(SystemError) -> (workers: [Worker], address: SocketAddress) {
        let plan = servicePlan(workers: loops.count)
        var workers: [Worker] = []
        var place = try listenPlace(loops: loops.count, first: loops[0])
        var address: SocketAddress?
        for (number, loop) in loops.enumerated() {
            let listener = try Listener(on: loop, place, maxConnections: plan.maxConnections)
            address = listener.address
            if number + 1 < loops.count { place = try listener.neighbourTarget() }
            let replicas = Replicas(replicaSettings, index: number, on: loop, seal: secrets.seal, log: log)
            let service = Service(
                on: loop, listener: listener, plan: plan, replicas: replicas,
                claims: makeClaims(for: replicas, on: loop), sharing: makeSharing(on: loop))
            workers.append(Worker(service, on: loop))
        }
        // `threads` is at least 1.
        guard let address else { preconditionFailure("a process without a loop") }
        return (workers, address)
    }

    /// What each of so many loops is to do.
    ///
    /// - Parameter old: the configuration that is in force on all of them; nil at the start.
    func servicePlan(workers: Int, replacing old: Configuration? = nil) -> ServicePlan {
        let limits = configuration.limits
        let kept = old.flatMap { KeptServers(of: $0, in: configuration) }
        return ServicePlan(
            connection: HTTPServerConnection.Limits(
                head: headLimits, maxBody: limits.maxBody, headerTimeout: limits.headerTimeout,
                bodyTimeout: limits.bodyTimeout, idleTimeout: limits.idleTimeout,
                keepAliveInterval: limits.keepAliveInterval),
            tls: listenerTLS,
            maxConnections: max(1, descriptors.clients / workers),
            parking: ParkingSettings(
                parkTimeout: configuration.interaction.parkTimeout,
                maxParked: max(1, configuration.interaction.maxParked / workers),
                maxParkedPerPrincipal: max(1, configuration.interaction.maxParkedPerPrincipal / workers)),
            gateway: { makeGateway(on: $0, memory: $1, isLoopback: $2, after: $3, kept, workers: workers) })
    }

    private func makeGateway(
        on loop: Loop, memory: LoopMemory, isLoopback: Bool, after before: Gateway?, _ kept: KeptServers?, workers: Int
    ) -> Gateway {
        let backends: Backends
        let sessions: SessionPool
        if let before, let kept {
            backends = self.makeBackends(on: loop, index: memory.index, after: before.backends, kept)
            sessions = before.sessions
            sessions.applySettings(backends, limits: poolLimits(workers: workers))
        } else {
            backends = self.makeBackends(on: loop, index: memory.index)
            sessions = SessionPool(
                backends: backends, limits: poolLimits(workers: workers), notices: secrets.notices, log: log)
        }
        return Gateway(
            settings: gatewaySettings(isLoopback: isLoopback, workers: workers), backends: backends, sessions: sessions,
            memory: memory,
            affinity: secrets.affinity, paths: secrets.paths, key: secrets.callers, seal: secrets.seal, log: log,
            after: before)
    }

    private func poolLimits(workers: Int) -> SessionPool.Limits {
        let sessions = configuration.sessions
        return SessionPool.Limits(
            maxSessions: max(1, sessions.max / workers),
            maxPerPrincipal: max(1, (sessions.maxPerPrincipal ?? sessions.max / 2) / workers),
            letsLoneHaveAll: sessions.maxPerPrincipal == nil, idleTimeout: sessions.idleTimeout,
            maxSending: max(1, descriptors.sending / workers), callsAtOnce: configuration.backend.callsAtOnce)
    }

    /// - Parameter index: of the loop, so that not all begin with the same copy.
    private func makeBackends(
        on loop: Loop, index: Int, after before: Backends? = nil, _ kept: KeptServers? = nil
    ) -> Backends {
        var overHTTP: [Backend] = []
        var commands: [CommandBackend] = []
        for (place, (backend, label)) in zip(configuration.backends, labels).enumerated() {
            // A server of the configuration before is one of this.
            let known = kept?.places[place].flatMap { before?.all[$0] }
            switch backend.place {
            case .url(let url, let transport):
                let tls = backend.tls.map { ServerTLS($0.context, name: $0.name) }
                if let known = known as? Backend {
                    known.applyLimits(backendLimits, label: label, tls: tls)
                    overHTTP.append(known)
                    continue
                }
                let server = Backend(
                    at: url.socketPath.map { .unix(path: $0) } ?? .host(url.host, port: url.port), label: label,
                    tls: tls, hostField: url.hostField, target: url.target,
                    fields: backend.headers.set.map { (Array($0.name.utf8), Array($0.value.utf8)) },
                    transport: transport.known, pinsConnections: backend.pinConnection, on: loop,
                    limits: backendLimits, log: log)
                server.undeclared = backend.declare.map(\.capability)
                overHTTP.append(server)
            case .command(let command):
                if let known = known as? CommandBackend {
                    known.applyLimits(backendLimits, label: label)
                    commands.append(known)
                    continue
                }
                let server = CommandBackend(
                    running: ChildCommand(
                        arguments: command.arguments, adding: command.environment, directory: command.directory),
                    label: label, warden: warden, on: loop, limits: backendLimits, log: log)
                server.undeclared = backend.declare.map(\.capability)
                commands.append(server)
            }
        }
        // The configuration has no mixture of both.
        return commands.isEmpty
            ? Backends(overHTTP, first: index, after: before) : Backends(commands, first: index, after: before)
    }

    private var backendLimits: Backend.Limits {
        let limits = configuration.limits
        return Backend.Limits(
            maxMessage: limits.maxResponse, streamBuffer: limits.streamBuffer, head: headLimits,
            maxDepth: limits.maxDepth, silence: limits.backendIdleTimeout,
            handshake: limits.handshakeTimeout, connect: limits.connectTimeout)
    }

    /// What the copies are called where they are shown; path and query may hold a secret, and so may only tell two apart by
    /// their place.
    private var labels: [String] {
        let origins = configuration.backends.map(\.name)
        return origins.enumerated().map { index, origin in
            origins.firstIndex(of: origin) == index ? origin : "\(origin)#\(index)"
        }
    }

    /// Of both sides: a head has no more reason to be long in an answer than in a request.
    private var headLimits: HTTPLimits {
        var head = HTTPLimits()
        head.maxHead = configuration.limits.maxHead
        return head
    }

    private func taskSettings(workers: Int) -> TaskSettings {
        let tasks = configuration.tasks
        return TaskSettings(
            // A session on one connection serves one request at a time, and a task keeps its session.
            isOn: !configuration.backends[0].pinConnection, makesOptional: tasks.optional == .task,
            promotion: tasks.promote,
            max: max(1, tasks.max / workers), maxPerPrincipal: max(1, tasks.maxPerPrincipal / workers),
            maxTTL: tasks.maxTTL)
    }

    private func gatewaySettings(isLoopback: Bool, workers: Int) -> GatewaySettings {
        let listen = configuration.listen
        let cache = configuration.cache
        let publicURL = listen.publicURL.map { PublicURL(origin: $0.origin, path: $0.path ?? listen.path) }
        return GatewaySettings(
            path: listen.path,
            door: Door(
                allowedOrigins: listen.allowedOrigins, allowedHosts: listen.allowedHosts, isLoopback: isLoopback,
                scheme: "\(scheme)", publicOrigin: publicURL?.origin),
            forwardsLegacyClients: listen.legacyClients == .pass && !configuration.backends[0].pinConnection,
            callerFields: callerFields(),
            isolatesByCertificate: configuration.sessions.isolatesByCertificate,
            publicURL: publicURL,
            scheme: "\(scheme)",
            era: configuration.backends[0].isReachedByHTTP ? configuration.backends[0].era.known : .legacy,
            probeInterval: configuration.backends[0].probeInterval,
            caching: CachePolicy(
                ttlMs: Int(cache.ttl.nanoseconds / 1_000_000), scope: cache.scope == .public ? .public : .private),
            requestTimeout: configuration.limits.requestTimeout, streamBuffer: configuration.limits.streamBuffer,
            trustsAnnotations: configuration.backend.annotations == .trust, maxDepth: configuration.limits.maxDepth,
            isInteractive: configuration.backend.interactive,
            replayedTools: Set(configuration.interaction.replay),
            toleratesOlderVersionHeader: listen.tolerate.contains(.versionHeader),
            clients: ClientProfiles(
                DeclarationRules(configuration.backend.client),
                named: configuration.clients.map { ($0.name, DeclarationRules($0.rules)) }),
            tasks: taskSettings(workers: workers), handles: handleSettings(workers: workers))
    }

    private func handleSettings(workers: Int) -> HandleSettings {
        let sessions = configuration.sessions
        guard sessions.handles != .off else { return .off }
        return HandleSettings(
            isRequired: sessions.handles == .required, idleTimeout: sessions.handleIdleTimeout,
            maxAge: sessions.handleMaxAge,
            maxPerPrincipal: max(1, sessions.maxHandlesPerPrincipal / workers))
    }

    private func callerFields() -> CallerFields {
        let headers = configuration.backend.headers
        return CallerFields(
            isolateBy: configuration.sessions.isolateBy, forwarded: headers.forward,
            replaced: Set(headers.set.map(\.name)),
            origin: OriginFields(
                headers.add.map(OriginFields.Field.init), scheme: "\(scheme)",
                publicOrigin: configuration.listen.publicURL?.origin))
    }

    // MARK: Replicas

    /// The listener for other replicas, on a loop that serves clients too; nil where there are none.
    func peerDoor(on loop: Loop, workers: [Worker]) throws(SystemError) -> PeerDoor? {
        guard let group = configuration.replicas.group else { return nil }
        guard let address = SocketAddress(host: group.address, port: group.port) else {
            // `Configuration` makes the same of it when it reads the file.
            preconditionFailure("the configuration let an impossible address through")
        }
        let service = try PeerService(
            on: loop, address: address, maxConnections: descriptors.clients,
            maxBody: configuration.limits.maxBody, settings: replicaSettings, workers: workers, seal: secrets.seal,
            log: log)
        log.write(.info, "peers_listening") { line in
            line.field("address", "\(service.address)")
            line.field("replica", group.id)
        }
        return PeerDoor(service, on: loop)
    }

    /// The sessions that a loop has in common with others; nil where it has its own.
    private func makeSharing(on loop: Loop) -> SharedSessions? {
        // Its own connection: many sessions may be opened at once.
        guard configuration.sessions.shared == .store, let prefix = configuration.store?.prefix,
            let store = makeStore(on: loop, tells: false)
        else { return nil }
        return SharedSessions(store, prefix: prefix, seal: secrets.seal, on: loop)
    }

    /// A connection to the store; nil where there is none.
    ///
    /// - Parameter tells: whether the log is told by it when the store comes and goes.
    func makeStore(on loop: Loop, tells: Bool) -> Store? {
        guard let store = configuration.store else { return nil }
        let endpoint: Endpoint =
            store.url.socketPath.map { .unix(path: $0) } ?? .host(store.url.host, port: store.url.port)
        return Store(
            StoreSettings(
                endpoint: endpoint, tls: store.tls.map { ServerTLS($0.context, name: $0.name) },
                database: store.url.database, password: store.password, name: store.url.name),
            on: loop, log: tells ? log : nil)
    }

    /// What decides in the store who goes on with the calls of a loop; nil where there is none.
    private func makeClaims(for replicas: Replicas, on loop: Loop) -> Claims? {
        guard configuration.replicas.group != nil, let prefix = configuration.store?.prefix,
            let store = makeStore(on: loop, tells: false)
        else { return nil }
        return Claims(
            store, prefix: prefix, owner: replicas.owner, process: secrets.process, seal: secrets.seal, on: loop,
            log: log)
    }

    /// What finds other replicas in the store; nil where there are none.
    ///
    /// - Parameter address: where this one listens for them.
    func makeMembership(_ store: Store, address: SocketAddress, workers: [Worker], on loop: Loop) -> Membership? {
        guard let group = configuration.replicas.group, let prefix = configuration.store?.prefix else { return nil }
        let (host, port) =
            group.advertised.map { ($0.host, $0.port) } ?? (address.host ?? group.address, address.port)
        return Membership(
            store, prefix: prefix, own: .init(name: group.id, endpoint: .host(host, port: port)),
            process: secrets.process, seal: secrets.seal, workers: workers, on: loop, log: log)
    }

    private var replicaSettings: ReplicaSettings {
        let group = configuration.replicas.group
        return ReplicaSettings(
            name: secrets.name,
            peers: (group?.peers ?? []).map { .init(name: $0.id, endpoint: .host($0.host, port: $0.port)) },
            findsOthers: group != nil && configuration.store != nil,
            sharesChangeNotices: group?.sharesChangeNotices ?? false,
            requestTimeout: configuration.limits.requestTimeout,
            // Two signs of life, none of which came. That it was there at the start, it has said.
            silence: configuration.limits.keepAliveInterval * 2 + .seconds(5), head: headLimits)
    }

    // MARK: What an operator looks at

    var adminSettings: AdminSettings {
        AdminSettings(
            door: Door(
                allowedOrigins: [], allowedHosts: configuration.admin.allowedHosts,
                isLoopback: adminAddress?.isLoopback ?? true),
            maxSessions: configuration.sessions.max, maxConnections: descriptors.clients,
            maxParked: configuration.interaction.maxParked, threads: configuration.threads, certificates: certificates)
    }

    /// Those that Remora shows to others.
    private var certificates: [CertificateExpiry] {
        var shown = [("listen", configuration.listen.tls?.context)]
        shown += configuration.backends.enumerated().map { ("backends[\($0)]", $1.tls?.context) }
        return shown.compactMap { section, context in
            context?.notAfter.map {
                CertificateExpiry(setting: "\(section).tls.certificate", notAfter: Int($0.seconds))
            }
        }
    }
}

extension KeyRing {
    /// The ring of a configuration; nil where it has no keys. What was sealed by others no longer opens once
    /// `Seal.useRing` was given it, so that keys are changed by giving one ring after the other.
    init?(_ configuration: Configuration.Replicas) {
        guard !configuration.keys.isEmpty else { return nil }
        self.init(configuration.keys)
    }
}

extension DeclarationRules {
    init(_ rules: Configuration.ClientRules) {
        var allowed: Capabilities? = []
        for capability in rules.capabilities {
            switch capability {
            case .all: allowed = nil
            case .elicitation: allowed?.insert(.elicitation)
            case .elicitationForm: allowed?.insert(.elicitationForm)
            case .elicitationURL: allowed?.insert(.elicitationURL)
            case .extensions: allowed?.insert(.extensions)
            case .roots: allowed?.insert(.roots)
            case .sampling: allowed?.insert(.sampling)
            case .samplingContext: allowed?.insert(.samplingContext)
            case .samplingTools: allowed?.insert(.samplingTools)
            }
        }
        self.init(allowed: allowed, roots: rules.roots)
    }
}

extension OriginFields.Field {
    init(_ field: Configuration.BackendHeaders.Origin) {
        self =
            switch field {
            case .forwardedFor: .forwardedFor
            case .forwardedProto: .forwardedProto
            case .forwardedHost: .forwardedHost
            case .forwarded: .forwarded
            }
    }
}

extension SocketAddress {
    init(_ address: ListenAddress) {
        switch address {
        case .unix(let path): self.init(unixPath: path)
        case .tcp(let host, let port):
            guard let address = SocketAddress(host: host, port: port) else {
                // `Configuration` makes the same of it when it reads the file.
                preconditionFailure("the configuration let an impossible address through")
            }
            self = address
        }
    }
}

extension Configuration.Capability {
    fileprivate var capability: ServerCapability {
        switch self {
        case .tools: .tools
        case .prompts: .prompts
        case .resources: .resources
        case .completions: .completions
        case .logging: .logging
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

extension Configuration.Backend {
    /// Over HTTP clients and servers can also be joined without a translation.
    fileprivate var isReachedByHTTP: Bool {
        if case .url = place { true } else { false }
    }
}

extension Configuration.Backend.Transport {
    /// What it says; nil where it is to be tried.
    fileprivate var known: Backend.Transport? {
        switch self {
        case .auto: nil
        case .http: .http
        case .sse: .sse
        }
    }
}
