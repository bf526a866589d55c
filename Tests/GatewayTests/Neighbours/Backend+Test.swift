import HTTPTransport
import HTTPWire
import Legacy
import Reactor
import Telemetry
import Translation

@testable import Gateway

extension Backend {
    /// A backend at a scripted server, which it calls `backend`.
    static func test(
        _ server: ScriptedServer, target: String = "/up", fields: [(name: [UInt8], value: [UInt8])] = [],
        transport: Transport? = .http, silence: Duration = .seconds(20), on loop: Loop
    ) -> Backend {
        Backend(
            at: server.endpoint, label: "backend", hostField: "backend", target: target, fields: fields,
            transport: transport, on: loop,
            limits: Limits(
                maxMessage: 1 << 20, streamBuffer: 1 << 16, head: HTTPLimits(), maxDepth: 64, silence: silence,
                connect: .seconds(2)), log: .silent)
    }
}

extension SessionPool {
    static func test(_ backends: Backends) -> SessionPool {
        SessionPool(
            backends: backends,
            limits: Limits(
                maxSessions: 16, maxPerPrincipal: 8, idleTimeout: .seconds(60), queueTimeout: .milliseconds(200),
                maxSending: 16),
            notices: BackendNotices(), log: .silent)
    }
}

extension GatewaySettings {
    /// Settings of a gateway that any host and pages of `http://page` reach.
    static func test(
        era: Era?, publicURL: PublicURL? = nil, requestTimeout: Duration = .seconds(20), ttlMs: Int = 30_000
    ) -> GatewaySettings {
        GatewaySettings(
            path: "/mcp", door: Door(allowedOrigins: ["http://page"], allowedHosts: [], isLoopback: false),
            forwardsLegacyClients: true, callerFields: CallerFields(isolateBy: ["authorization"]), publicURL: publicURL,
            era: era, caching: CachePolicy(ttlMs: ttlMs, scope: .private), requestTimeout: requestTimeout,
            streamBuffer: 65536, trustsAnnotations: true, maxDepth: 32)
    }
}
