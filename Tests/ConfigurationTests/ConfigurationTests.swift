import Testing

@testable import Configuration

/// Reads `text` as `remora.yaml`.
func parse(
    _ text: String, environment: [String: String] = [:]
) -> Result<Configuration, ConfigurationErrors> {
    Configuration.parse(Array(text.utf8), file: "remora.yaml") { environment[$0] }
}

/// What is printed for `text`, empty when there is nothing wrong with it.
func printed(_ text: String, environment: [String: String] = [:]) -> String {
    switch parse(text, environment: environment) {
    case .success: ""
    case .failure(let errors): errors.description
    }
}

/// A document that is right but for `text`.
func withBackend(_ text: String) -> String {
    "backends: [{url: http://b}]\n" + text
}

@Suite struct ConfigurationTests {
    @Test func leastFileHasTheDefaults() throws {
        let configuration = try parse("backends: [{url: http://127.0.0.1:9000/mcp}]").get()
        #expect(configuration.threads == 1)
        #expect(
            configuration.listen
                == .init(
                    address: .tcp(host: "127.0.0.1", port: 8808), socketMode: 0o660, path: "/mcp", allowedOrigins: [],
                    allowedHosts: [],
                    publicURL: nil, legacyClients: .pass))
        #expect(
            configuration.backend.url
                == BackendURL(host: "127.0.0.1", port: 9000, target: "/mcp", hostField: "127.0.0.1:9000"))
        #expect(configuration.backend.era == .auto && configuration.backend.probeInterval == .seconds(86400))
        #expect(
            configuration.sessions
                == .init(isolateBy: ["authorization"], max: 64, maxPerPrincipal: nil, idleTimeout: .seconds(300)))
        #expect(configuration.cache == .init(ttl: .seconds(30), scope: .private))
        #expect(configuration.limits.maxBody == 8_388_608)
        #expect(configuration.limits.maxHead == 16384)
        #expect(configuration.limits.maxResponse == 67_108_864)
        #expect(configuration.limits.maxDepth == 128)
        #expect(configuration.limits.maxConnections == 10000)
        #expect(configuration.limits.headerTimeout == .seconds(10))
        #expect(configuration.limits.bodyTimeout == .seconds(30))
        #expect(configuration.limits.idleTimeout == .seconds(75))
        #expect(configuration.limits.requestTimeout == .seconds(1800))
        #expect(configuration.limits.backendIdleTimeout == .seconds(60))
        #expect(configuration.limits.connectTimeout == .seconds(5))
        #expect(configuration.limits.shutdownTimeout == .seconds(30))
        #expect(configuration.log == .init(level: .info, format: .json))
        #expect(configuration.backend.callsAtOnce == nil)
    }

    @Test func allCallersMayShareTheProcessesOfACommand() throws {
        let configuration = try parse("backends: [{command: [a]}]\nsessions: {isolate_by: []}").get()
        #expect(configuration.sessions.isolateBy.isEmpty && !configuration.sessions.isolatesByCertificate)
    }

    @Test func callsAtOnceAreThoseOfTheFirstCopy() throws {
        let configuration = try parse("backends: [{url: http://a, calls_at_once: 3}, {url: http://b}]").get()
        #expect(configuration.backends.map(\.callsAtOnce) == [3, 3])
    }
}
