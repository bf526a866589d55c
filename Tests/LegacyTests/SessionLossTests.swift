import HTTPWire
import JSONText
import MCP
import Testing

@testable import Legacy

/// How servers say that a session is gone, and what looks like it and is not.
@Suite struct SessionLossTests {
    /// What is made of an answer, as a table can hold it.
    enum Verdict { case none, ping, list, pingOrSilence, proof }

    private static func verdict(_ verdict: SessionLoss.Verdict) -> Verdict {
        switch verdict {
        case .none: .none
        case .proof: .proof
        case .doubt(let doubt) where doubt.silenceIsLoss: .pingOrSilence
        case .doubt(let doubt): doubt.question == .list ? .list : .ping
        }
    }

    @Test(
        arguments: [
            // The specification's way, where the text says nothing else.
            ("404 Not Found", "", "", .proof), ("404 Not Found", "", "\r\n", .proof), ("410 Gone", "", "", .proof),
            ("404 Not Found", "", #"{"error":"Session not found"}"#, .proof),
            ("404 Not Found", "", "Could not find session", .proof),
            ("404 Not Found", "", "<html>Not Found</html>", .pingOrSilence), ("410 Gone", "", "Gone", .pingOrSilence),
            // The Python SDK until 1.25.
            (
                "400 Bad Request", "",
                #"{"jsonrpc":"2.0","id":"server-error","error":{"code":-32600,"message":"Bad Request: No valid session ID provided"}}"#,
                .proof
            ),
            ("400 Bad Request", "", "Bad Request: Missing session ID", .proof),
            // The TypeScript SDK and its boilerplate.
            (
                "400 Bad Request", "", #"{"error":{"code":-32000,"message":"Bad Request: Server not initialized"}}"#,
                .proof
            ),
            (
                "400 Bad Request", "",
                #"{"error":{"code":-32000,"message":"Bad Request: No valid session ID provided"}}"#, .proof
            ),
            ("400 Bad Request", "", "BAD REQUEST: NO VALID SESSION ID", .proof),
            // No handler ran, and it may mean the request or the session.
            ("400 Bad Request", "", "", .pingOrSilence),
            ("400 Bad Request", "", "Invalid request body", .pingOrSilence),
            ("405 Method Not Allowed", "", "session", .pingOrSilence), ("409 Conflict", "", "", .pingOrSilence),
            // rmcp until 0.16; a real 401 has a challenge.
            ("401 Unauthorized", "", "Unauthorized: Session not found", .proof),
            ("401 Unauthorized", "WWW-Authenticate: Bearer\r\n", "Unauthorized: Session not found", .none),
            ("401 Unauthorized", "www-authenticate: Bearer\r\n", "", .none),
            ("401 Unauthorized", "", "Unauthorized", .none), ("401 Unauthorized", "", "", .none),
            // The Go SDK.
            ("403 Forbidden", "", "session user mismatch\n", .proof), ("403 Forbidden", "", "forbidden", .none),
            ("403 Forbidden", "", "unknown session", .ping),
            ("403 Forbidden", "WWW-Authenticate: Bearer\r\n", "session expired", .none),
            // The Python SDK at its limit, and balancers.
            ("503 Service Unavailable", "", "Session limit reached", .ping),
            ("503 Service Unavailable", "", "no healthy upstream", .none), ("503 Service Unavailable", "", "", .none),
            ("500 Internal Server Error", "", "Invalid session ID", .ping),
            ("500 Internal Server Error", "", "Server not initialized", .list),
            ("500 Internal Server Error", "", "", .none), ("502 Bad Gateway", "", "bad gateway", .none),
            ("200 OK", "", #"{"error":"Session not found"}"#, .ping), ("200 OK", "", "<html>Welcome!</html>", .none),
            // Too many requests, whatever of.
            ("429 Too Many Requests", "", "session", .none), ("307 Temporary Redirect", "", "", .none),
        ] as [(String, String, String, Verdict)])
    func anAnswerThatIsNoResponse(status: String, fields: String, text: String, expected: Verdict) throws {
        let verdict = SessionLoss.responseVerdict(try head(status, fields), Array(text.utf8)[...])
        #expect(Self.verdict(verdict) == expected)
    }

    @Test(
        arguments: [
            (200, -32602, "argument q is required", true, .none), (500, -32603, "it broke", true, .none),
            (400, -32000, "no", true, .none), (404, -32601, "Method not found", true, .none),
            (404, -32602, "Session not found: an argument", true, .none),
            // Whatever its id.
            (404, -32600, "Session not found", true, .proof), (404, -32001, "Session not found", true, .proof),
            (404, -32600, "Session not found", false, .proof), (404, -32001, "Session not found", false, .proof),
            // Of a tool, perhaps.
            (404, -32001, "Browser session not found", true, .ping), (404, -32603, "Session not found", true, .ping),
            (404, -32000, "no", true, .ping), (410, -32000, "no", true, .ping),
            (200, -32002, "Server not initialized", true, .list), (200, -32001, "Session not found", true, .ping),
            (200, -32005, "Session not found", true, .ping), (200, -32002, "Resource not found", true, .none),
            (400, -32000, "Bad Request: Server not initialized", true, .list),
            (400, -32000, "Bad Request: Server not initialized", false, .proof),
            (400, -32000, "Bad Request", false, .pingOrSilence), (404, -32601, "Method not found", false, .none),
            (500, -32603, "Invalid session ID", true, .ping), (500, -32603, "Internal error", false, .none),
            (200, -32603, "Internal error", false, .none), (200, -32600, "Invalid session", false, .ping),
        ] as [(Int, Int, String, Bool, Verdict)])
    func aResponse(status: Int, code: Int, message: String, isOwn: Bool, expected: Verdict) throws {
        let document = try JSONDocument(Array(#"{"code":\#(code),"message":"\#(message)"}"#.utf8))
        let verdict = SessionLoss.errorVerdict(on: document.root, in: document, status: status, isOwn: isOwn)
        #expect(Self.verdict(verdict) == expected)
    }

    @Test(arguments: [
        #""Session not found""#, "null", "[]", "7", "{}", #"{"code":"x","message":7}"#, #"{"code":1e999}"#,
    ])
    func errorsOfAnyShapeAreLookedAt(text: String) throws {
        let document = try JSONDocument(Array(text.utf8))
        for status in [200, 400, 404, 500] {
            for isOwn in [true, false] {
                let verdict = SessionLoss.errorVerdict(on: document.root, in: document, status: status, isOwn: isOwn)
                if text.contains("Session") { #expect(verdict != .none) }
            }
        }
    }

    /// Where the session is lost, what is sent again has not run.
    @Test(
        arguments: [
            (400, "Bad Request", true), (403, "unknown session", true), (404, "<html></html>", true),
            (410, "Gone", false), (410, "session terminated", false), (503, "session limit reached", true),
            (500, "Invalid session ID", true),
            (200, "Session not found", true),
            (500, "sqlalchemy: this session is in a bad state", false), (502, "session", false),
            (200, "<html>your session</html>", false),
        ] as [(Int, String, Bool)])
    func onlyWhatDidNotRunIsSentAgain(status: Int, text: String, expected: Bool) {
        let verdict = SessionLoss.responseVerdict(status: status, hasChallenge: false, Array(text.utf8)[...])
        guard case .doubt(let doubt) = verdict else {
            Issue.record("no doubt: \(verdict)")
            return
        }
        #expect(doubt.nothingRan == expected)
    }

    @Test func textsOfAnyBytesAreLookedAt() throws {
        let head = try head("400 Bad Request", "")
        #expect(SessionLoss.responseVerdict(head, [0xFF, 0x00, 0xC3]) != .proof)
        #expect(SessionLoss.responseVerdict(head, ([0xFF] + Array("missing session".utf8))[...]) == .proof)
        let late = Array(repeating: UInt8(ascii: " "), count: 5000) + Array("session".utf8)
        #expect(
            SessionLoss.responseVerdict(status: 500, hasChallenge: false, late[...]) == .none, "only the start counts")
    }

    private func head(_ status: String, _ fields: String) throws -> HTTPResponseHead {
        var decoder = HTTPResponseDecoder(limits: HTTPLimits())
        let bytes = Array("HTTP/1.1 \(status)\r\nContent-Length: 0\r\n\(fields)\r\n".utf8)
        var offset = 0
        guard case .head(let head) = try decoder.nextEvent(bytes.span, from: &offset) else {
            throw BadHead()
        }
        return head
    }

    private struct BadHead: Error {}
}
