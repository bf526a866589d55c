import HTTPWire
import Testing

@testable import Gateway

/// What the answers of servers to a probe say.
@Suite struct EraProbeTests {
    private func evidence(_ status: Int, _ body: String, type: String = "application/json") throws -> EraTable.Evidence
    {
        var decoder = HTTPResponseDecoder()
        let text = Array(
            "HTTP/1.1 \(status) X\r\nContent-Type: \(type)\r\nContent-Length: \(body.utf8.count)\r\n\r\n".utf8)
        var offset = 0
        guard case .head(let head) = try decoder.next(text.span, from: &offset) else { throw NoHead() }
        return EraProbe.evidence(head, Array(body.utf8), maxMessage: 10_000)
    }

    private static let result =
        #"{"jsonrpc":"2.0","id":"remora-era","result":{"resultType":"complete","supportedVersions":["2099-01-01","2026-07-28"],"capabilities":{}}}"#
    private static let unsupported =
        #"{"jsonrpc":"2.0","id":"remora-era","error":{"code":-32022,"message":"m","data":{"supported":["2026-07-28"],"requested":"x"}}}"#

    @Test func modern() throws {
        #expect(try evidence(200, Self.result) == .modern)
        #expect(try evidence(400, Self.unsupported) == .modern)
        #expect(try evidence(400, Self.unsupported.replacing(#""remora-era""#, with: "null")) == .modern)
        let stream = ": hello\r\n\r\ndata:\r\nid: 1\r\n\r\nevent: message\r\ndata: \(Self.result)\r\n\r\n"
        #expect(try evidence(200, stream, type: "text/event-stream; charset=utf-8") == .modern)
    }

    /// Of the published servers, and of such as could be taken for modern by mistake.
    @Test(
        arguments: [
            (
                400,
                #"{"jsonrpc":"2.0","id":"server-error","error":{"code":-32600,"message":"Bad Request: Unsupported protocol version: 2026-07-28."}}"#
            ),
            (400, "Bad Request: No valid session ID provided"),
            (
                200,
                #"{"jsonrpc":"2.0","id":"remora-era","error":{"code":-32602,"message":"Invalid request parameters","data":""}}"#
            ),
            (404, #"{"jsonrpc":"2.0","id":"remora-era","error":{"code":-32601,"message":"Method not found"}}"#),
            (400, unsupported.replacing(#"["2026-07-28"]"#, with: #"["2025-11-25"]"#)),
            (400, unsupported.replacing("-32022", with: "-32000")),
            (200, result.replacing(#","capabilities":{}"#, with: "")),
            (200, result.replacing(#"["2099-01-01","2026-07-28"]"#, with: #"["2099-01-01"]"#)),
            (200, result.replacing(#"["2099-01-01","2026-07-28"]"#, with: #""2026-07-28""#)),
            (200, #"{"jsonrpc":"2.0","method":"notifications/message"}"#), (202, ""), (405, ""), (406, "{}"), (410, ""),
            (200, "<html>"),
        ])
    func legacy(status: Int, body: String) throws {
        #expect(try evidence(status, body) == .legacy)
    }

    @Test(arguments: [301, 302, 401, 403, 408, 429, 500, 502, 503, 504], [result, unsupported, "", "{}"])
    func nothing(status: Int, body: String) throws {
        #expect(try evidence(status, body) == .none)
    }
}
