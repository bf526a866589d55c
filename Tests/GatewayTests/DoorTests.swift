import Testing

@testable import Gateway

@Suite struct DoorTests {
    private func allows(_ door: Door, host: String) throws -> Bool {
        door.allowsHost(of: try parseHead("POST / HTTP/1.1\r\nHost: \(host)\r\n\r\n"))
    }

    private func allows(_ door: Door, origin fields: String) throws -> Bool {
        door.allowsOrigin(of: try parseHead("POST / HTTP/1.1\r\nHost: h\r\n\(fields)\r\n"))
    }

    @Test(
        arguments: [
            ("localhost", true), ("localhost:8808", true), ("LOCALHOST:1", true), ("LocalHost", true),
            ("127.0.0.1", true), ("127.0.0.1:8808", true), ("127.1.2.3:80", true), ("[::1]", true),
            ("[::1]:8808", true),
            ("", false), ("evil.com", false), ("evil.com:8808", false),
            ("127.0.0.1.evil.com", false), ("127.0.0.1.evil.com:8808", false), ("localhost.evil.com", false),
            ("evil-localhost", false), ("xlocalhost", false), ("localhost.", false), ("127.evil.com", false),
            ("evil.127.0.0.1", false), ("128.0.0.1", false), ("10.0.0.1", false), ("0.0.0.0", false),
            ("1270.0.0.1", false),
            ("[::2]", false), ("[::1]evil", false), ("[::ffff:10.0.0.1]", false), ("[fe80::1]:8808", false),
            ("::1", false),
            ("localhost:80:evil", false), ("localhost:8808a", false), ("a:localhost", false),
            ("127.0.0.1-evil:1", false),
        ])
    func onLoopbackOnlyItsNamesAreAllowed(host: String, isAllowed: Bool) throws {
        let door = Door(allowedOrigins: [], allowedHosts: [], isLoopback: true)
        #expect(try allows(door, host: host) == isAllowed)
    }

    @Test(arguments: ["localhost", "evil.com", "10.0.0.1:1"])
    func elsewhereEveryNameIsAllowedUnlessSomeAreListed(host: String) throws {
        #expect(try allows(Door(allowedOrigins: [], allowedHosts: [], isLoopback: false), host: host))
        #expect(try !allows(Door(allowedOrigins: [], allowedHosts: ["a.example"], isLoopback: false), host: host))
    }

    @Test(
        arguments: [
            ("mcp.example.com", true), ("mcp.example.com:1", true), ("MCP.Example.COM:443", true),
            ("with-port.example:8808", true), ("with-port.example", false), ("with-port.example:8809", false),
            ("[fd00::1]:9", true), ("[fd00::1]", true), ("evil.mcp.example.com", false),
            ("mcp.example.com.evil", false),
            ("mcp.example.co", false), ("mcp.example.com.", false), ("localhost", false), ("127.0.0.1", false),
        ], [true, false])
    func onlyListedNamesAreAllowed(row: (host: String, isAllowed: Bool), isLoopback: Bool) throws {
        let door = Door(
            allowedOrigins: [], allowedHosts: ["MCP.example.com", "with-port.example:8808", "[fd00::1]"],
            isLoopback: isLoopback)
        #expect(try allows(door, host: row.host) == row.isAllowed)
    }

    private func allows(_ door: Door, _ host: String, _ origin: String) throws -> Bool {
        door.originRefusal(of: try parseHead("POST /mcp HTTP/1.1\r\nHost: \(host)\r\nOrigin: \(origin)\r\n\r\n")) == nil
    }

    /// Its own pages may call it.
    @Test(
        arguments: [
            ("localhost:8808", "http://localhost:8808", true), ("127.0.0.1:8808", "http://127.0.0.1:8808", true),
            ("[::1]:8808", "http://[::1]:8808", true), ("LOCALHOST:8808", "HTTP://localhost:8808", true),
            ("localhost", "http://localhost", true), ("mcp.example.com", "http://mcp.example.com", false),
            ("localhost:8808", "http://localhost:3000", false), ("localhost:8808", "http://127.0.0.1:8808", false),
            ("localhost:8808", "https://localhost:8808", false), ("localhost:8808", "http://localhost:88080", false),
            ("localhost:8808", "http://localhost", false), ("localhost:8808", "localhost:8808", false),
            ("localhost:8808", "http://evil.com", false), ("localhost:8808", "null", false),
            ("localhost:8808", "http://localhost:8808.evil.com", false), ("localhost:8808", "http://", false),
            ("evil.com:8808", "http://evil.com:8808", false), ("evil.com", "http://localhost:8808", false),
            ("127.0.0.1.evil.com", "http://127.0.0.1.evil.com", false),
        ])
    func itsOwnOriginIsAllowedOnLoopback(host: String, origin: String, isAllowed: Bool) throws {
        #expect(
            try allows(Door(allowedOrigins: [], allowedHosts: [], isLoopback: true), host, origin) == isAllowed)
    }

    @Test func itsOwnOriginIsAllowedUnderListedNames() throws {
        let door = Door(allowedOrigins: [], allowedHosts: ["mcp.example.com"], isLoopback: false, scheme: "https")
        #expect(try allows(door, "mcp.example.com", "https://mcp.example.com"))
        #expect(try allows(door, "mcp.example.com:8443", "https://mcp.example.com:8443"))
        #expect(try !allows(door, "mcp.example.com", "http://mcp.example.com"))
        #expect(try !allows(door, "evil.com", "https://evil.com"))
    }

    /// Where any name is allowed, the attacker's is one of them.
    @Test func itsOwnOriginIsNobodysWhereAnyNameIsAllowed() throws {
        let door = Door(allowedOrigins: [], allowedHosts: [], isLoopback: false)
        #expect(try !allows(door, "evil.com", "http://evil.com"))
        #expect(try !allows(door, "127.0.0.1.evil.com", "http://127.0.0.1.evil.com"))
        // A name of the loopback interface cannot be made to point elsewhere.
        #expect(try allows(door, "localhost:8808", "http://localhost:8808"))
    }

    @Test func itsPublicOriginIsAllowed() throws {
        let door = Door(
            allowedOrigins: [], allowedHosts: [], isLoopback: false, publicOrigin: "https://mcp.example.com")
        #expect(try allows(door, "10.0.0.5:8808", "https://mcp.example.com"))
        #expect(try !allows(door, "10.0.0.5:8808", "https://evil.com"))
    }

    /// An absolute target names the host, whatever `Host` says (RFC 9112 §3.2.2).
    @Test func theTargetGoesBeforeTheField() throws {
        let door = Door(allowedOrigins: [], allowedHosts: [], isLoopback: true)
        let evil = try parseHead("POST http://evil.com/mcp HTTP/1.1\r\nHost: localhost\r\n\r\n")
        #expect(!door.allowsHost(of: evil))
        let good = try parseHead("POST http://localhost/mcp HTTP/1.1\r\nHost: evil.com\r\n\r\n")
        #expect(door.allowsHost(of: good))
    }

    @Test func theOldProtocolHasNoHost() throws {
        let door = Door(allowedOrigins: [], allowedHosts: [], isLoopback: true)
        #expect(door.allowsHost(of: try parseHead("POST / HTTP/1.0\r\n\r\n")))
        #expect(!door.allowsHost(of: try parseHead("POST / HTTP/1.0\r\nHost: evil.com\r\n\r\n")))
    }

    @Test(
        arguments: [
            ("", true), ("Origin: https://app.example\r\n", true), ("ORIGIN: HTTPS://APP.EXAMPLE\r\n", true),
            ("Origin: https://app.example:8443\r\n", false), ("Origin: http://app.example\r\n", false),
            ("Origin: https://app.example.evil\r\n", false), ("Origin: https://app.example/\r\n", false),
            ("Origin: null\r\n", false), ("Origin:\r\n", false), ("Origin: https://evil\r\n", false),
            ("Origin: http://localhost\r\n", false),
            ("Origin: https://app.example\r\nOrigin: https://evil\r\n", false),
            ("Origin: https://evil\r\nOrigin: https://app.example\r\n", false),
            ("Origin: https://app.example, https://evil\r\n", false),
        ])
    func onlyListedOriginsAreAllowed(fields: String, isAllowed: Bool) throws {
        let door = Door(allowedOrigins: ["https://App.example"], allowedHosts: [], isLoopback: true)
        #expect(try allows(door, origin: fields) == isAllowed)
    }

    @Test func withoutAListOnlyProgramsAreAllowed() throws {
        let door = Door(allowedOrigins: [], allowedHosts: [], isLoopback: true)
        #expect(try allows(door, origin: ""))
        #expect(try !allows(door, origin: "Origin: http://127.0.0.1:8808\r\n"))
    }

    @Test func aStarAllowsAnyOrigin() throws {
        let door = Door(allowedOrigins: ["*"], allowedHosts: [], isLoopback: true)
        #expect(try allows(door, origin: "Origin: https://evil\r\n"))
        #expect(try allows(door, origin: "Origin: null\r\n"))
    }
}
