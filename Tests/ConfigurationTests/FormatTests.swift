import Testing

@testable import Configuration

/// Which texts are values, and which values they are.
@Suite struct FormatTests {
    private func parse<Value>(_ text: String, _ format: Format<Value>) -> Value? {
        try? format.parse(text)
    }

    @Test(arguments: [
        ("250ms", Duration.milliseconds(250)), ("10s", .seconds(10)), ("5m", .seconds(300)), ("1h", .seconds(3600)),
        ("0", .zero), ("0ms", .zero), ("0h", .zero), ("24h", .seconds(86400)), ("0010s", .seconds(10)),
        ("24h1", nil), ("25h", nil), ("1", nil), ("s", nil), ("", nil), ("-1s", nil), ("+1s", nil), ("1.5s", nil),
        ("1 s", nil), ("1S", nil), ("1d", nil), ("1h30m", nil), ("٣s", nil), ("5\u{301}m", nil),
        ("9223372036854775807h", nil), ("99999999999999999999999ms", nil),
    ])
    func duration(_ text: String, _ expected: Duration?) {
        #expect(parse(text, .duration(.zero ... .hours(24))) == expected)
    }

    @Test(arguments: [
        ("1024", 1024), ("1KiB", 1024), ("8MiB", 8_388_608), ("1GiB", 1 << 30), ("1048576KiB", 1 << 30),
        ("1023", nil), ("0", nil), ("1073741825", nil), ("8MB", nil), ("8M", nil), ("8 MiB", nil), ("8mib", nil),
        ("8KiBKiB", nil), ("KiB", nil), ("", nil), ("-8MiB", nil), ("0x400", nil), ("9223372036854775807GiB", nil),
    ])
    func size(_ text: String, _ expected: Int?) {
        #expect(parse(text, .size(1024...1 << 30)) == expected)
    }

    @Test(arguments: [
        ("1", 1), ("64", 64), ("007", 7), ("0", nil), ("65", nil), ("", nil), ("-1", nil), ("+1", nil), ("1.0", nil),
        ("1_0", nil), ("0x1", nil), ("99999999999999999999", nil), ("１", nil),
    ])
    func integer(_ text: String, _ expected: Int?) {
        #expect(parse(text, .integer(1...64)) == expected)
    }

    @Test(arguments: [
        ("127.0.0.1:8808", ("127.0.0.1", 8808)), ("[::1]:8808", ("::1", 8808)), (":80", ("::", 80)),
        ("localhost:1", ("localhost", 1)), ("0.0.0.0:0", ("0.0.0.0", 0)), ("[::]:65535", ("::", 65535)),
        ("[::ffff:1.2.3.4]:1", ("::ffff:1.2.3.4", 1)), ("[::FFFF:1.2.3.4]:1", ("::ffff:1.2.3.4", 1)),
        ("LOCALHOST:1", ("localhost", 1)), ("Localhost:8808", ("localhost", 8808)),
        ("127.0.0.1", nil), ("8808", nil), ("", nil), (":", nil), (":65536", nil), (":-1", nil), (":+1", nil),
        ("::1:8808", nil), ("[::1]", nil), ("[::1]8808", nil), ("[::1:8808", nil), ("[]:80", nil),
        ("[1.2.3.4]:80", nil),
        ("example.com:80", nil), ("127.0.0.256:80", nil), ("127.1:80", nil), ("[fe80::1%eth0]:80", nil),
        ("[::1\0]:80", nil), ("127.0.0.1\0:80", nil), ("127.0.0.1:80 ", nil), ("http://127.0.0.1:80", nil),
    ])
    func listenAddress(_ text: String, _ expected: (String, UInt16)?) {
        #expect(parse(text, .listenAddress) == expected.map { .tcp(host: $0.0, port: $0.1) })
    }

    @Test(arguments: [
        ("unix:/run/remora.sock", "/run/remora.sock"), ("unix:/a b:c", "/a b:c"),
        ("unix:/" + String(repeating: "x", count: 106), "/" + String(repeating: "x", count: 106)),
        ("unix:/" + String(repeating: "x", count: 107), nil), ("unix:", nil), ("unix:run", nil), ("unix:/run/", nil),
        ("unix:/a\0b", nil), ("unix://", nil),
    ])
    func unixSocket(_ text: String, _ path: String?) {
        #expect(parse(text, .listenAddress) == path.map { .unix(path: $0) })
    }

    @Test(arguments: [
        ("0660", 0o660), ("600", 0o600), ("0666", 0o666), ("660 ", nil), ("", nil), ("66", nil), ("0880", nil),
        ("1777", nil), ("+660", nil), ("0o66", nil),
    ])
    func fileMode(_ text: String, _ expected: UInt32?) {
        #expect(parse(text, .fileMode) == expected)
    }

    @Test(arguments: [
        (
            "http://127.0.0.1:9000/mcp",
            BackendURL(host: "127.0.0.1", port: 9000, target: "/mcp", hostField: "127.0.0.1:9000")
        ),
        ("http://example.com", BackendURL(host: "example.com", port: 80, target: "/", hostField: "example.com")),
        ("HTTP://b:80/", BackendURL(host: "b", port: 80, target: "/", hostField: "b")),
        ("http://b?k=v", BackendURL(host: "b", port: 80, target: "/?k=v", hostField: "b")),
        (
            "http://[::1]:9000/a/b?c=%20",
            BackendURL(host: "::1", port: 9000, target: "/a/b?c=%20", hostField: "[::1]:9000")
        ),
        ("http://[2001:db8::1]/", BackendURL(host: "2001:db8::1", port: 80, target: "/", hostField: "[2001:db8::1]")),
        (
            "http://mcp_server.local.:1/",
            BackendURL(host: "mcp_server.local.", port: 1, target: "/", hostField: "mcp_server.local.:1")
        ),
        (
            "https://b.example/x",
            BackendURL(host: "b.example", port: 443, target: "/x", hostField: "b.example", isSecure: true)
        ),
        (
            "HTTPS://b:80/", BackendURL(host: "b", port: 80, target: "/", hostField: "b:80", isSecure: true)
        ),
        (
            "unix:/run/x.sock:/a?b",
            BackendURL(host: "localhost", port: 80, target: "/a?b", hostField: "localhost", socketPath: "/run/x.sock")
        ),
        (
            "unix:/x", BackendURL(host: "localhost", port: 80, target: "/mcp", hostField: "localhost", socketPath: "/x")
        ),
    ])
    func backendURL(_ text: String, _ expected: BackendURL) {
        #expect(parse(text, .backendURL) == expected)
    }

    @Test(arguments: [
        ("", "must be a URL such as http://127.0.0.1:9000/mcp"),
        ("127.0.0.1:9000", "must be a URL such as http://127.0.0.1:9000/mcp"),
        ("://b", "must be a URL such as http://127.0.0.1:9000/mcp"),
        ("http:/b", "must be a URL such as http://127.0.0.1:9000/mcp"),
        ("ftp://b/", "must begin with http://, https:// or unix:"),
        ("http://b/#x", "must have no fragment: remove `#` and what follows"),
        (
            "http://user:pw@b/",
            "must have no user name or password: Remora passes on the client's Authorization, and backends[].headers can set another"
        ),
        ("http:///mcp", badAuthority), ("http://b:/", badAuthority), ("http://b:0/", badAuthority),
        ("http://b:65536/", badAuthority), ("http://b:1x/", badAuthority), ("http://::1/", badAuthority),
        ("http://[::1/", badAuthority), ("http://bücher/", badAuthority), ("http://a b/", badAuthority),
        ("http://a..b/", badAuthority), ("http://1.2.3/", badAuthority), ("http://%41/", badAuthority),
        ("unix:x", badSocket), ("unix:", badSocket), ("unix:/x:", badSocketTarget), ("unix:/x:mcp", badSocketTarget),
        ("unix:/x:/a b", badSocketTarget),
        ("http://b/a b", badTarget), ("http://b/ü", badTarget), ("http://b/%2", badTarget), ("http://b/%zz", badTarget),
        ("http://b/\r\nX: y", badTarget), ("http://b/\0", badTarget), ("http://b/[]", badTarget),
    ])
    func refusedBackendURL(_ text: String, _ requirement: String) {
        #expect(throws: FormatError(requirement)) { try BackendURL(parsing: text) }
    }

    static let badAuthority =
        "must name a host and, if not 80, a port from 1 to 65535, such as http://127.0.0.1:9000/mcp or "
        + "http://[::1]:9000/mcp"
    static let badSocket = "must have an absolute path of at most 107 bytes behind unix:, such as unix:/run/remora.sock"
    static let badSocketTarget =
        "must have the path of the endpoint behind the second colon, such as unix:/run/mcp.sock:/mcp, in plain URL "
        + "characters"
    static let badTarget = "must have a path of plain URL characters: write others as %XX, a space as %20"

    @Test(arguments: [
        ("*", "*"), ("https://app.example.com", "https://app.example.com"),
        ("HTTPS://App.Example:443", "https://app.example"),
        ("http://localhost:80", "http://localhost"), ("http://localhost:443", "http://localhost:443"),
        ("http://[::1]:3000", "http://[::1]:3000"), ("vscode-webview://abc", "vscode-webview://abc"),
        ("https://app.example.com/", nil), ("https://app.example.com/x", nil), ("app.example.com", nil), ("null", nil),
        ("https://*.example.com", nil), ("https://", nil), ("https://a:0", nil), ("https://a@b", nil), ("", nil),
        ("1a://b", nil), ("https://a\nb", nil),
    ])
    func origin(_ text: String, _ expected: String?) {
        #expect(parse(text, .origin) == expected)
    }

    @Test(
        arguments: [
            ("https://mcp.example.com", "https://mcp.example.com", nil), ("http://A.b:80/", "http://a.b", nil),
            ("HTTPS://mcp.example.com:8443/a/b", "https://mcp.example.com:8443", "/a/b"),
            ("http://[::1]:1/mcp", "http://[::1]:1", "/mcp"),
        ] as [(String, String, String?)])
    func publicURL(_ text: String, _ origin: String, _ path: String?) throws {
        #expect(try Format.publicURL.parse(text) == PublicURL(origin: origin, path: path))
    }

    @Test func publicURLMayBeLeftToTheClients() throws {
        #expect(try Format.publicURL.parse("auto") == nil)
    }

    @Test(arguments: [
        "", "Auto", "mcp.example.com", "ftp://a", "https://", "https://a/?b", "https://a/#b", "https://u@a/",
        "https://a:0/",
        "https://a/ b", "https://a/\"", "https://a/é", "https://a\\b",
    ])
    func refusedPublicURL(_ text: String) {
        #expect(throws: FormatError.self) { try Format.publicURL.parse(text) }
    }

    @Test(arguments: [
        ("mcp.example.com", "mcp.example.com"), ("MCP.example.com:8808", "mcp.example.com:8808"), ("[::1]", "[::1]"),
        ("[::1]:8808", "[::1]:8808"), ("10.0.0.1", "10.0.0.1"),
        ("::1", nil), ("*", nil), ("http://a", nil), ("a/b", nil), ("a:0", nil), ("", nil), ("a b", nil),
    ])
    func host(_ text: String, _ expected: String?) {
        #expect(parse(text, .host) == expected)
    }

    @Test(arguments: [
        ("/", "/"), ("/mcp", "/mcp"), ("/a%20b", "/a%20b"),
        ("mcp", nil), ("", nil), ("/a?b", nil), ("/a#b", nil), ("/a b", nil), ("/é", nil), ("/%", nil), ("/a\n", nil),
    ])
    func path(_ text: String, _ expected: String?) {
        #expect(parse(text, Format<String>.path) == expected)
    }

    @Test(arguments: [
        ("authorization", "authorization"), ("header:X-Tenant", "x-tenant"),
        ("Authorization", nil), ("header:", nil), ("x-tenant", nil), ("header:a:b", nil), ("header:é", nil), ("", nil),
    ])
    func isolation(_ text: String, _ expected: String?) {
        #expect(parse(text, .isolation) == expected)
    }

    @Test(arguments: [
        ("maxbody", "max_body"), ("max-body", "max_body"), ("maxBody", "max_body"), ("max_bdoy", "max_body"),
        ("ttl", "ttl"), ("tll", "ttl"), ("address", nil), ("", nil), ("body", nil),
    ])
    func spelling(_ word: String, _ expected: String?) {
        #expect(Spelling.nearestName(to: word, among: ["ttl", "max_head", "max_body"]) == expected)
    }
}

@Suite struct CommandTests {
    private func read(_ backend: String) -> Result<Configuration, ConfigurationErrors> {
        Configuration.parseConfiguration(Array("backends:\n  - \(backend)\n".utf8), file: "f") {
            $0 == "SECRET" ? "s3cret" : nil
        }
    }

    @Test func aServerIsACommand() throws {
        let configuration = try read("{command: [uvx, 'mcp server', ''], env: {TOKEN: '${SECRET}', E: ''}, cwd: /srv}")
            .get()
        #expect(
            configuration.backend.place
                == .command(
                    .init(
                        arguments: ["uvx", "mcp server", ""], environment: ["TOKEN": "s3cret", "E": ""],
                        directory: "/srv")))
        #expect(configuration.backend.url == nil)
        #expect(configuration.backend.name == "stdio:uvx")
        #expect(try read("{command: [/opt/x/server, --key, k]}").get().backend.name == "stdio:server")
    }

    @Test func capabilitiesAreDeclaredForAllCopies() throws {
        let backends = try read("{url: http://h/, declare: [resources, tools]}\n  - {url: http://i/}").get().backends
        #expect(backends.allSatisfy { $0.declare == [.resources, .tools] })
        #expect(try read("{url: http://h/}").get().backend.declare.isEmpty)
    }

    @Test func aPinnedConnectionAsksNobody() throws {
        let backends = try read("{url: http://h/, pin_connection: true}\n  - {url: http://i/}").get().backends
        #expect(backends.allSatisfy { $0.pinConnection && !$0.interactive })
    }

    @Test(arguments: [
        ("{command: [x], url: http://h/}", "backends[0].url must not be given with command"),
        ("{command: []}", "backends[0].url is missing"),
        ("{command: ['']}", "backends[0].command must begin with a program"),
        ("{command: x}", "backends[0].command must be a list"),
        ("{command: [x], era: modern}", "backends[0].era must not be modern"),
        ("{command: [x], transport: sse}", "backends[0].transport goes with url only"),
        ("{url: http://h/, env: {A: b}}", "backends[0].env goes with command only"),
        ("{url: http://h/, cwd: /x}", "backends[0].cwd goes with command only"),
        ("{command: [x], env: {1A: b}}", "a name in backends[0].env must be the name of a variable"),
        ("{command: [x], env: {'A=B': b}}", "a name in backends[0].env must be the name of a variable"),
        ("{command: [\"x\\0\"]}", "backends[0].command[0] must not contain U+0000"),
        ("{url: http://h/, declare: [resource]}", "backends[0].declare[0] must be one of tools, prompts, resources"),
        ("{url: http://h/, declare: resources}", "backends[0].declare must be a list"),
        ("{url: http://h/, era: modern, declare: [tools]}", "backends[0].declare must not be given with era: modern"),
        ("{url: http://h/}\n  - {url: http://i/, declare: [tools]}", "backends[1].declare must be as in backends[0]"),
        ("{url: http://h/, era: modern, transport: sse}", "backends[0].transport must not be sse with era: modern"),
        ("{url: http://h/, transport: stdio}", "backends[0].transport must be one of auto, http, sse"),
        ("{command: [x], pin_connection: true}", "backends[0].pin_connection goes with url only"),
        ("{url: http://h/, transport: sse, pin_connection: true}", "backends[0].pin_connection must not be true with"),
        ("{url: http://h/, interactive: true, pin_connection: true}", "backends[0].interactive must not be true with"),
        (
            "{url: http://h/}\n  - {url: http://i/, pin_connection: true}",
            "backends[1].pin_connection must be as in backends[0]"
        ),
    ])
    func refuses(_ backend: String, _ message: String) {
        guard case .failure(let errors) = read(backend) else { return #expect(Bool(false), "\(backend)") }
        #expect(errors.description.contains(message), "\(errors)")
    }
}
