import HTTPWire
import Testing

@testable import Gateway
@testable import HTTPTransport

/// What of a request and of an answer is forwarded.
@Suite struct EndToEndFieldsTests {
    private func kept(_ fields: String) throws -> String {
        let head = try parseHead("POST /mcp HTTP/1.1\r\nHost: h\r\n\(fields)\r\n")
        return EndToEndFields.forwardedFields(head.fields) { $0.equalsIgnoringCase("host") }
            .map { "\($0.name.string)=\($0.value.string)" }.joined(separator: " ")
    }

    @Test(
        arguments: [
            (
                "Mcp-Session-Id: s\r\nLast-Event-ID: 7\r\nmcp-protocol-version: 2025-11-25\r\n",
                "Mcp-Session-Id=s Last-Event-ID=7 mcp-protocol-version=2025-11-25"
            ),
            ("Cookie: a\r\nCookie: b\r\nX:\r\n", "Cookie=a Cookie=b X="),
            ("Connection: keep-alive\r\nKeep-Alive: 5\r\nTE: trailers\r\nTrailer: x\r\nUpgrade: h2c\r\n", ""),
            ("Proxy-Connection: x\r\nProxy-Authenticate: x\r\nProxy-Authorization: x\r\n", ""),
            ("Content-Length: 0\r\nX: 1\r\n", "X=1"), ("Transfer-Encoding: chunked\r\nX: 1\r\n", "X=1"),
            ("Connection: X-One , close\r\nconnection: x-two,,\r\nX-ONE: 1\r\nX-Two: 2\r\nX-Three: 3\r\n", "X-Three=3"),
        ])
    func whatSpeaksOfTheConnectionStays(fields: String, kept: String) throws {
        #expect(try self.kept(fields) == kept)
    }

    @Test func aRequestIsTheBackendsOwn() throws {
        let head = try parseHead(
            "DELETE /mcp?a=b HTTP/1.1\r\nHost: front\r\nOrigin: http://page\r\nExpect: 100-continue\r\nA: 1\r\n\r\n")
        let message = ForwardedRequest.backendMessage(
            HTTPServerRequest(head: head, body: []), target: Array("/x".utf8), host: Array("back:1".utf8))
        #expect(message.text == "DELETE /x HTTP/1.1\r\nhost: back:1\r\nA: 1\r\n\r\n")
    }

    @Test func aBodyHasItsLength() throws {
        let head = try parseHead("POST /mcp HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
        let message = ForwardedRequest.backendMessage(
            HTTPServerRequest(head: head, body: Array("[ ]".utf8)), target: Array("/".utf8), host: Array("b".utf8))
        #expect(message.text == "POST / HTTP/1.1\r\nhost: b\r\ncontent-length: 3\r\n\r\n[ ]")
    }

    @Test(
        arguments: [
            ("/mcp", "/mcp", "/mcp"), ("/mcp", "/mcp?a=b&c", "/mcp?a=b&c"), ("/x?k=v", "/mcp", "/x?k=v"),
            ("/x?k=v", "/mcp?a=b", "/x?k=v&a=b"), ("/x", "/mcp?", "/x?"),
        ])
    func theQueryGoesOn(backend: String, client: String, target: String) throws {
        let head = try parseHead("GET \(client) HTTP/1.1\r\nHost: h\r\n\r\n")
        let mapped = BackendTarget.endpointTarget(Array(backend.utf8), query: head.query)
        #expect(String(decoding: mapped, as: UTF8.self) == target)
    }
}

extension HTTPMessage {
    fileprivate var text: String { String(decoding: joined, as: UTF8.self) }
}
