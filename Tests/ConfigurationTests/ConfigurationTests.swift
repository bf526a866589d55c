import Testing

@testable import Configuration

/// Reads `text` as `remora.yaml`.
func parse(
    _ text: String, environment: [String: String] = [:]
) -> Result<Configuration, ConfigurationErrors> {
    Configuration.parseConfiguration(Array(text.utf8), file: "remora.yaml") { environment[$0] }
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
                    publicURL: nil, legacyClients: .pass, tolerate: []))
        #expect(
            configuration.backend.url
                == BackendURL(host: "127.0.0.1", port: 9000, target: "/mcp", hostField: "127.0.0.1:9000"))
        #expect(configuration.backend.era == .auto && configuration.backend.probeInterval == .seconds(86400))
        #expect(
            configuration.sessions
                == .init(
                    isolateBy: ["authorization"], max: 64, maxPerPrincipal: nil, idleTimeout: .seconds(300),
                    shared: .off, handles: .off, handleIdleTimeout: .seconds(1800), handleMaxAge: .seconds(86400),
                    maxHandlesPerPrincipal: 16))
        #expect(configuration.backend.headers == .init() && configuration.clients.isEmpty)
        #expect(configuration.backend.client == .init(roots: [], capabilities: [.all]))
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
        #expect(configuration.limits.backendIdleTimeout == .seconds(1800))
        #expect(configuration.limits.handshakeTimeout == .seconds(60))
        #expect(configuration.limits.connectTimeout == .seconds(5))
        #expect(configuration.limits.shutdownTimeout == .seconds(30))
        #expect(configuration.log == .init(level: .info, format: .json))
        #expect(configuration.backend.callsAtOnce == nil)
    }

    @Test func allCallersMayShareTheProcessesOfACommand() throws {
        let configuration = try parse("backends: [{command: [a]}]\nsessions: {isolate_by: []}").get()
        #expect(configuration.sessions.isolateBy.isEmpty && !configuration.sessions.isolatesByCertificate)
    }

    @Test func handlesAreOffOptionalOrRequired() throws {
        for value in Configuration.Sessions.Handles.allCases {
            let configuration = try parse(withBackend("sessions: {handles: \(value.rawValue)}")).get()
            #expect(configuration.sessions.handles == value)
        }
        #expect(printed(withBackend("sessions: {handles: on}")).contains("must be one of off, optional, required"))
        let times = "sessions: {handle_idle_timeout: 1s, handle_max_age: 168h, max_handles_per_principal: 1}"
        let sessions = try parse(withBackend(times)).get().sessions
        #expect(sessions.handleIdleTimeout == .seconds(1) && sessions.handleMaxAge == .seconds(604_800))
        #expect(sessions.maxHandlesPerPrincipal == 1)
        #expect(printed(withBackend("sessions: {handle_max_age: 169h}")).contains("must be between 1s and 168h"))
        #expect(printed(withBackend("sessions: {max_handles_per_principal: 0}")).contains("between 1 and 100000"))
    }

    @Test func callsAtOnceAreThoseOfTheFirstCopy() throws {
        let configuration = try parse("backends: [{url: http://a, calls_at_once: 3}, {url: http://b}]").get()
        #expect(configuration.backends.map(\.callsAtOnce) == [3, 3])
    }

    @Test func callsBecomeTasksAfterATimeOrNever() throws {
        #expect(try parse(withBackend("")).get().tasks.promote == nil)
        #expect(try parse(withBackend("tasks: {promote: off}")).get().tasks.promote == nil)
        #expect(try parse(withBackend("tasks: {promote: 20s}")).get().tasks.promote == .seconds(20))
        #expect(printed(withBackend("tasks: {promote: 99ms}")).contains("must be between 100ms and 24h, or off"))
        #expect(printed(withBackend("tasks: {promote: on}")).contains("or off"))
    }

    @Test func patienceFollowsTheRequestsOwnLimit() throws {
        let short = try parse(withBackend("limits: {request_timeout: 10s}")).get().limits
        #expect(short.backendIdleTimeout == .seconds(10) && short.handshakeTimeout == .seconds(10))
        let idle = try parse(withBackend("limits: {backend_idle_timeout: 2m, handshake_timeout: 90s}")).get().limits
        #expect(idle.backendIdleTimeout == .seconds(120) && idle.handshakeTimeout == .seconds(90))
    }

    @Test func copiesHaveTheFieldsOfTheFirst() throws {
        let first = "{url: http://b, headers: {forward: [X-Api-Key]}, roots: [file:///a], client_capabilities: []}"
        let configuration = try parse("backends: [\(first), {url: http://c}]").get()
        #expect(configuration.backends[1].headers == configuration.backends[0].headers)
        #expect(configuration.backends[1].headers.forward == ["x-api-key"])
        #expect(configuration.backends[1].client == .init(roots: ["file:///a"], capabilities: []))
        #expect(
            printed("backends: [\(first), {url: http://c, headers: {forward: [x-b]}}]")
                .contains("backends[1].headers must be as in backends[0]"))
        #expect(
            printed("backends: [\(first), {url: http://c, roots: [file:///b]}]")
                .contains("backends[1].roots must be as in backends[0]"))
    }

    @Test func clientsHaveWhatTheyDoNotSayFromTheBackend() throws {
        let text = "backends: [{url: http://b, roots: [file:///a]}]\nclients: [{name: a}, {name: b, roots: []}]"
        let clients = try parse(text).get().clients
        #expect(clients.map(\.rules.roots) == [["file:///a"], []])
        #expect(clients.map(\.rules.capabilities) == [[.all], [.all]])
    }

    @Test(
        arguments: [
            ("backends: [{url: http://b, roots: [/srv]}]", "backends[0].roots[0] must be the URI of a folder"),
            ("backends: [{url: http://b, roots: ['file:///a b']}]", "with a space as %20"),
            ("backends: [{url: http://b, roots: [file:///a, file:///a]}]", "must have each root once"),
            (
                "backends: [{url: http://b, roots: [file:///a], pin_connection: true}]",
                "roots must be empty with pin_connection"
            ),
            ("backends: [{url: http://b, client_capabilities: [tasks]}]", "must be one of all, elicitation"),
            ("backends: [{url: http://b, client_capabilities: [all, roots]}]", "must be all, or the capabilities"),
            ("backends: [{url: http://b}]\nclients: [{roots: []}]", "clients[0].name is missing"),
            ("backends: [{url: http://b}]\nclients: [{name: a}, {name: a}]", "\"a\" is there twice"),
            (
                "backends: [{url: http://b}]\nlisten: {tolerate: [all]}",
                "listen.tolerate[0] must be one of version_header"
            ),
            ("backends: [{url: http://b}]\nsessions: {isolate_by: [authorization, 'header:host']}", "must not be host"),
        ])
    func nonsenseIsRefused(text: String, message: String) {
        #expect(printed(text).contains(message))
    }
}
