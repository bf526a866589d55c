import Testing
import Translation

@testable import Legacy

/// What the answers of servers to the question of their era say.
@Suite struct EraQuestionTests {
    private func evidence(_ status: Int, _ body: String) -> EraEvidence {
        EraQuestion.eraEvidence(status, isModern: ModernEvidence.isGiven(by: Array(body.utf8)))
    }

    private static let result =
        #"{"jsonrpc":"2.0","id":"remora-era","result":{"resultType":"complete","supportedVersions":["2099-01-01","2026-07-28"],"capabilities":{}}}"#
    private static let unsupported =
        #"{"jsonrpc":"2.0","id":"remora-era","error":{"code":-32022,"message":"m","data":{"supported":["2026-07-28"],"requested":"x"}}}"#

    @Test func modern() {
        #expect(evidence(200, Self.result) == .modern)
        #expect(evidence(400, Self.unsupported) == .modern)
        #expect(evidence(400, Self.unsupported.replacing(#""remora-era""#, with: "null")) == .modern)
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
    func legacy(status: Int, body: String) {
        #expect(evidence(status, body) == .legacy)
    }

    @Test(arguments: [301, 302, 401, 403, 408, 429, 500, 502, 503, 504], [result, unsupported, "", "{}"])
    func nothing(status: Int, body: String) {
        #expect(evidence(status, body) == .none)
    }
}
