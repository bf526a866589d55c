import Testing

@testable import Gateway

/// What the server is told of where a request came from.
@Suite struct OriginFieldsTests {
    private func lines(
        _ fields: String, client: String?, origin: String? = nil, host: String = "front:8808"
    ) throws -> [String] {
        let rules = OriginFields(OriginFields.Field.allCases, scheme: "http", publicOrigin: origin)
        let head = try parseHead("POST / HTTP/1.1\r\nHost: \(host)\r\n\(fields)\r\n")
        return rules.fieldLines(of: head, from: client).map {
            "\($0.name)=\(String(decoding: $0.value, as: UTF8.self))"
        }
    }

    @Test func aClientIsNamed() throws {
        #expect(
            try lines("", client: "10.0.0.1") == [
                "x-forwarded-for=10.0.0.1", "x-forwarded-proto=http", "x-forwarded-host=front:8808",
                "forwarded=for=10.0.0.1;host=\"front:8808\";proto=http",
            ])
        #expect(try lines("", client: "fe80::1").last == "forwarded=for=\"[fe80::1]\";host=\"front:8808\";proto=http")
    }

    /// What it says of itself is continued where proxies continue it, and replaced where they do not.
    @Test func aClientCannotSayWhereRemoraIs() throws {
        let came =
            "X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2\r\nX-Forwarded-Proto: https\r\n"
            + "X-Forwarded-Host: evil\r\nForwarded: for=1.1.1.1\r\n"
        #expect(
            try lines(came, client: "10.0.0.1") == [
                "x-forwarded-for=1.1.1.1, 2.2.2.2, 10.0.0.1", "x-forwarded-proto=http", "x-forwarded-host=front:8808",
                "forwarded=for=1.1.1.1, for=10.0.0.1;host=\"front:8808\";proto=http",
            ])
    }

    @Test func thePublicURLSaysIt() throws {
        #expect(
            try lines("", client: "10.0.0.1", origin: "https://mcp.example.com:8443").dropFirst() == [
                "x-forwarded-proto=https", "x-forwarded-host=mcp.example.com:8443",
                "forwarded=for=10.0.0.1;host=\"mcp.example.com:8443\";proto=https",
            ])
    }

    @Test func aUnixSocketHasNoAddress() throws {
        #expect(
            try lines("", client: nil) == [
                "x-forwarded-proto=http", "x-forwarded-host=front:8808",
                "forwarded=for=unknown;host=\"front:8808\";proto=http",
            ])
    }
}
