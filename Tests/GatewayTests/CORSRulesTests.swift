import HTTPTransport
import HTTPWire
import Testing

@testable import Gateway

/// What pages in browsers are told.
@Suite struct CORSRulesTests {
    private func preflight(
        _ fields: String, forwardsLegacyClients: Bool = true, isEndpoint: Bool = true
    ) throws -> [String] {
        let head = try parseHead(
            "OPTIONS /mcp HTTP/1.1\r\nHost: h\r\nAccess-Control-Request-Method: POST\r\n\(fields)\r\n")
        #expect(CORSRules.isPreflight(head))
        let response = CORSRules(forwardsLegacyClients: forwardsLegacyClients).preflightResponse(
            head, isEndpoint: isEndpoint)
        #expect(response.status == 204)
        return response.fields.map { "\($0.name): \(String(decoding: $0.value, as: UTF8.self))" }
    }

    private static let fixed =
        "access-control-allow-headers: content-type, authorization, mcp-protocol-version, mcp-method, mcp-name, "
        + "mcp-session-id, last-event-id"

    @Test func whatAPageMaySend() throws {
        #expect(
            try preflight("")
                == [
                    "access-control-allow-methods: POST, GET, DELETE", Self.fixed, "access-control-max-age: 7200",
                    "vary: Access-Control-Request-Headers",
                ])
        #expect(try preflight("", forwardsLegacyClients: false).first == "access-control-allow-methods: POST")
        #expect(try preflight("", isEndpoint: false).first == "access-control-allow-methods: GET, POST")
    }

    @Test(
        arguments: [
            ("mcp-param-region", ", mcp-param-region"),
            ("Mcp-Param-A ,content-type,MCP-PARAM-b", ", mcp-param-a, mcp-param-b"),
            ("x-other, cookie", ""), ("mcp-param-a*b, mcp-paramx, mcp-param-\"", ""),
        ])
    func argumentsOfToolsAreAllowedAsTheyAreAskedFor(asked: String, allowed: String) throws {
        #expect(try preflight("Access-Control-Request-Headers: \(asked)\r\n")[1] == Self.fixed + allowed)
    }

    @Test(arguments: [
        "OPTIONS /mcp HTTP/1.1\r\nHost: h\r\n\r\n",
        "POST /mcp HTTP/1.1\r\nHost: h\r\nAccess-Control-Request-Method: POST\r\n\r\n",
    ])
    func noPreflight(head: String) throws {
        #expect(!CORSRules.isPreflight(try parseHead(head)))
    }

    @Test func anAnswerNamesTheOriginAndNeverAllOfThem() throws {
        let head = try parseHead("POST / HTTP/1.1\r\nHost: h\r\nOrigin: https://app.example\r\n\r\n")
        let origin = try #require(head.fields.first("origin"))
        let fields = CORSRules(forwardsLegacyClients: true).answerFields(to: origin)
            .map { "\($0.name): \(String(decoding: $0.value, as: UTF8.self))" }
        #expect(
            fields == [
                "access-control-allow-origin: https://app.example",
                "access-control-expose-headers: WWW-Authenticate, Mcp-Session-Id", "vary: Origin",
            ])
    }
}
