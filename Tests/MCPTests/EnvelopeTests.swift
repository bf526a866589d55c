import JSONText
import Testing

@testable import MCP

/// What is a message, and of which kind.
@Suite struct EnvelopeTests {
    private func kind(_ text: String) throws -> String {
        switch try Envelope(JSONDocument(Array(text.utf8))).kind {
        case .request: "request"
        case .notification: "notification"
        case .response(let id, .result): id == nil ? "result without id" : "result"
        case .response(let id, .error): id == nil ? "error without id" : "error"
        case .unclear: "unclear"
        }
    }

    @Test(
        arguments: [
            (#"{"jsonrpc":"2.0","id":1,"method":"a"}"#, "request"),
            (#"{"id":"","method":"","params":{},"jsonrpc":"2.0"}"#, "request"),
            (#"{"jsonrpc":"2\u002e0","id":-0,"meth\u006fd":"a"}"#, "request"),
            (#"{"jsonrpc":"2.0","id":123456789012345678901234567890,"method":"a","x":1}"#, "request"),
            (#"{"jsonrpc":"2.0","method":"a"}"#, "notification"),
            // A message that names a method asks; results beside it mean nothing.
            (#"{"jsonrpc":"2.0","id":1,"method":"a","result":{},"error":{}}"#, "request"),
            (#"{"jsonrpc":"2.0","id":0,"result":{}}"#, "result"),
            (#"{"jsonrpc":"2.0","id":0,"result":null}"#, "result"),
            (#"{"jsonrpc":"2.0","id":0,"result":{},"error":{}}"#, "result"),
            (#"{"jsonrpc":"2.0","result":{}}"#, "result without id"),
            (#"{"jsonrpc":"2.0","id":"x","error":{}}"#, "error"),
            (#"{"jsonrpc":"2.0","error":{}}"#, "error without id"),
            (#"{"jsonrpc":"2.0","id":null,"error":{}}"#, "error without id"),
        ])
    func aMessageIsSorted(text: String, expected: String) throws {
        #expect(try kind(text) == expected)
    }

    @Test(
        arguments: [
            ("[]", .batch), (#"[{"jsonrpc":"2.0","id":1,"method":"a"}]"#, .batch),
            ("null", .notAnObject), ("7", .notAnObject), (#""x""#, .notAnObject), ("true", .notAnObject),
            (#"{"jsonrpc":"2.0","id":1,"id":2,"method":"a"}"#, .duplicateMember),
            (#"{"jsonrpc":"2.0","id":1,"method":"a","\u006dethod":"b"}"#, .duplicateMember),
            (#"{"jsonrpc":"2.0","id":1,"method":"a","x":0,"x":0}"#, .duplicateMember),
            (#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"name":"x","n\u0061me":"y"}}"#, .duplicateMember),
            (#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"_meta":{"k":1,"k":2}}}"#, .duplicateMember),
            ("{}", .wrongVersion), (#"{"jsonrpc":"1.0","id":1,"method":"a"}"#, .wrongVersion),
            (#"{"jsonrpc":2.0,"id":1,"method":"a"}"#, .wrongVersion), (#"{"id":1,"method":"a"}"#, .wrongVersion),
            (#"{"jsonrpc":"2.0","id":null,"method":"a"}"#, .invalidID),
            (#"{"jsonrpc":"2.0","id":null,"method":"a","error":{}}"#, .invalidID),
            (#"{"jsonrpc":"2.0","id":null,"result":{}}"#, .invalidID),
            (#"{"jsonrpc":"2.0","id":1.0,"method":"a"}"#, .invalidID),
            (#"{"jsonrpc":"2.0","id":1e2,"method":"a"}"#, .invalidID),
            (#"{"jsonrpc":"2.0","id":1E2,"method":"a"}"#, .invalidID),
            (#"{"jsonrpc":"2.0","id":true,"method":"a"}"#, .invalidID),
            (#"{"jsonrpc":"2.0","id":{},"method":"a"}"#, .invalidID),
            (#"{"jsonrpc":"2.0","id":[1],"method":"a"}"#, .invalidID),
            (#"{"jsonrpc":"2.0","id":1,"method":7}"#, .invalidMethod),
            (#"{"jsonrpc":"2.0","id":1,"method":null}"#, .invalidMethod),
            (#"{"jsonrpc":"2.0","id":1,"method":"a","params":[]}"#, .paramsNotAnObject),
            (#"{"jsonrpc":"2.0","id":1,"method":"a","params":null}"#, .paramsNotAnObject),
            (#"{"jsonrpc":"2.0","id":1}"#, .neitherRequestNorResponse),
            (#"{"jsonrpc":"2.0"}"#, .neitherRequestNorResponse),
        ] as [(String, Envelope.Flaw)])
    func aTextIsNoMessage(text: String, flaw: Envelope.Flaw) {
        #expect(throws: flaw) { try kind(text) }
        #expect(!flaw.advice.isEmpty)
    }

    @Test(
        arguments: [
            (#"{"id":7}"#, "7"), (#"{"id":"\u0041"}"#, #""\u0041""#),
            (#"{"id":12345678901234567890123}"#, "12345678901234567890123"),
            (#"{"id":7,"id":7}"#, nil), (#"{"id":7,"\u0069d":8}"#, nil), (#"{"id":null}"#, nil), (#"{"id":1.5}"#, nil),
            ("{}", nil), ("[7]", nil), (#"[{"id":7}]"#, nil), ("7", nil),
        ] as [(String, String?)])
    func theIDOfWhatIsNoMessage(text: String, id: String?) throws {
        let document = try JSONDocument(Array(text.utf8))
        let found = Envelope.id(of: document).map { String(decoding: document.raw($0), as: UTF8.self) }
        #expect(found == id)
    }

    @Test(arguments: [(#"{"k":1}"#, true), ("[]", false), ("null", false), (#""x""#, false)])
    func metaIsAnObjectOrNone(meta: String, isThere: Bool) throws {
        let text = #"{"jsonrpc":"2.0","method":"a","params":{"_meta":\#(meta)}}"#
        #expect(try (Envelope(JSONDocument(Array(text.utf8))).meta != nil) == isThere)
    }
}
