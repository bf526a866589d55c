import JSONText
import MCP
import Testing

@testable import Legacy

@Suite struct CarriedMessageTests {
    private static func all(_ text: String, isBatchable: Bool = false) throws -> [CarriedMessage]? {
        CarriedMessage.readMessages(in: try JSONDocument(Array(text.utf8)), isBatchable: isBatchable)
    }

    @Test(arguments: [
        (#"{"jsonrpc":"2.0","id":1,"method":"a"}"#, "request"), (#"{"id":"1","method":"a","params":[]}"#, "request"),
        (#"{"method":"a","params":null}"#, "notification"), (#"{"id":1,"result":null}"#, "response"),
        (#"{"id":null,"error":{}}"#, "response"), (#"{"error":{}}"#, "response"),
        (#"{"id":null,"method":"a"}"#, "none"), (#"{"id":[],"method":"a"}"#, "none"), (#"{"method":1}"#, "none"),
        (#"{"type":"heartbeat"}"#, "none"), ("[]", "none"), ("1", "none"), (#"[{"method":"a"}]"#, "none"),
    ])
    func kinds(text: String, kind: String) throws {
        let found: String =
            switch try Self.all(text)?.first?.kind {
            case .request: "request"
            case .notification: "notification"
            case .response: "response"
            case nil: "none"
            }
        #expect(found == kind)
    }

    @Test func batches() throws {
        let text = #"[ {"id":1,"method":"a"}, {"method":"b"} ]"#
        let messages = try #require(try Self.all(text, isBatchable: true))
        #expect(
            messages.map { String(decoding: $0.text, as: UTF8.self) } == [
                #"{"id":1,"method":"a"}"#, #"{"method":"b"}"#,
            ])
        #expect(try Self.all("[]", isBatchable: true) == nil)
        #expect(try Self.all(#"[{"id":1,"method":"a"},[]]"#, isBatchable: true) == nil)
    }

    @Test func whatAMessageIsAbout() throws {
        func one(_ text: String) throws -> CarriedMessage { try #require(try Self.all(text)?.first) }
        let request = try one(#"{"id":"\u0061","method":"x","params":{"_meta":{"progressToken":5}}}"#)
        #expect(request.rawID == Array(#""\u0061""#.utf8))
        let progress = try one(#"{"method":"notifications/progress","params":{"progressToken":5}}"#)
        #expect(request.progressToken == progress.progressToken && progress.progressToken != nil && progress.isProgress)
        let cancelled = try one(#"{"method":"notifications/cancelled","params":{"requestId":"a"}}"#)
        guard case .request(let id) = request.kind else { throw Failure() }
        #expect(cancelled.cancelled == id && cancelled.cancelled?.misspelled != id)
        #expect(try one(#"{"id":1,"method":"initialize"}"#).isInitialize)
        #expect(try !one(#"{"method":"initialize"}"#).isInitialize)
        #expect(try one(#"{"id":1,"method":"ping"}"#).isPing)
    }

    private struct Failure: Error {}
}
