import HTTPWire
import Testing

@testable import Legacy

/// How servers say that a session is gone, and what looks like it and is not.
@Suite struct SessionLossTests {
    @Test(
        arguments: [
            // The specification's way, whatever the text.
            ("404 Not Found", "", "", true), ("404 Not Found", "", "<html>Not Found</html>", true),
            ("410 Gone", "", "", true),
            // The Python SDK until 1.25.
            (
                "400 Bad Request", "",
                #"{"jsonrpc":"2.0","id":"server-error","error":{"code":-32600,"message":"Bad Request: No valid session ID provided"}}"#,
                true
            ),
            ("400 Bad Request", "", "Bad Request: Missing session ID", true),
            // The TypeScript SDK and its boilerplate.
            (
                "400 Bad Request", "", #"{"error":{"code":-32000,"message":"Bad Request: Server not initialized"}}"#,
                true
            ),
            (
                "400 Bad Request", "",
                #"{"error":{"code":-32000,"message":"Bad Request: No valid session ID provided"}}"#, true
            ),
            ("400 Bad Request", "", "BAD REQUEST: NO VALID SESSION ID", true),
            ("400 Bad Request", "", "", false), ("400 Bad Request", "", "Invalid request body", false),
            ("400 Bad Request", "", "Bad Request: Unsupported protocol version", false),
            // rmcp until 0.16; a real 401 has a challenge.
            ("401 Unauthorized", "", "Unauthorized: Session not found", true),
            ("401 Unauthorized", "WWW-Authenticate: Bearer\r\n", "Unauthorized: Session not found", false),
            ("401 Unauthorized", "www-authenticate: Bearer\r\n", "", false),
            ("401 Unauthorized", "", "Unauthorized", false), ("401 Unauthorized", "", "", false),
            // The Go SDK.
            ("403 Forbidden", "", "session user mismatch\n", true), ("403 Forbidden", "", "forbidden", false),
            ("403 Forbidden", "", "session expired, log in again", false),
            // The Python SDK at its limit, and balancers.
            ("503 Service Unavailable", "", "Session limit reached", true),
            ("503 Service Unavailable", "", "no healthy upstream", false),
            ("503 Service Unavailable", "", "", false),
            // The same words under another status mean nothing.
            ("500 Internal Server Error", "", "No valid session ID", false),
            ("405 Method Not Allowed", "", "session", false),
            ("409 Conflict", "", "missing session", false), ("429 Too Many Requests", "", "session", false),
            ("502 Bad Gateway", "", "session", false),
        ] as [(String, String, String, Bool)])
    func anAnswerIsALossOrNot(status: String, fields: String, text: String, isLoss: Bool) throws {
        #expect(SessionLoss.isLoss(try head(status, fields), text: Array(text.utf8)) == isLoss)
    }

    @Test func textsOfAnyBytesAreLookedAt() throws {
        #expect(!SessionLoss.isLoss(try head("400 Bad Request", ""), text: [0xFF, 0x00, 0xC3]))
        #expect(SessionLoss.isLoss(try head("400 Bad Request", ""), text: [0xFF] + Array("missing session".utf8)))
    }

    private func head(_ status: String, _ fields: String) throws -> HTTPResponseHead {
        var decoder = HTTPResponseDecoder(limits: HTTPLimits())
        let bytes = Array("HTTP/1.1 \(status)\r\nContent-Length: 0\r\n\(fields)\r\n".utf8)
        var offset = 0
        guard case .head(let head) = try decoder.next(bytes.span, from: &offset) else {
            throw BadHead()
        }
        return head
    }

    private struct BadHead: Error {}
}
