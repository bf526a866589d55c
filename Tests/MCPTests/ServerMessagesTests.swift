import JSONText
import Testing

@testable import MCP

/// What a server sent is read by what it can only mean.
@Suite struct ServerMessagesTests {
    /// What is left of a text: each message in a few words, and why something was passed over.
    private func read(_ text: [UInt8], _ revision: Revision? = nil, maxDepth: Int = 16) -> [String] {
        var messages = ServerMessages(text, revision: revision, maxDepth: maxDepth)
        var found: [String] = []
        while let message = messages.next() { found.append(words(message)) }
        if let flaw = messages.flaw { found.append("\(flaw)") }
        return found
    }

    private func read(_ text: String, _ revision: Revision? = nil) -> [String] { read(Array(text.utf8), revision) }

    private func words(_ message: Envelope) -> String {
        let document = message.document
        func raw(_ value: JSONValue?) -> String {
            value.map { String(decoding: document.raw($0), as: UTF8.self) } ?? "-"
        }
        switch message.kind {
        case .request(let id, let method): return "request \(raw(id)) \(raw(method)) \(raw(message.params))"
        case .notification(let method): return "notification \(raw(method)) \(raw(message.params))"
        case .response(let id, .result(let result)): return "result \(raw(id)) \(raw(result))"
        case .response(let id, .error(let error)): return "error \(raw(id)) \(raw(error))"
        case .unclear: return "unclear \(message.answeredRequest.map { "\($0)" } ?? "-")"
        }
    }

    @Test(
        arguments: [
            (#"{"jsonrpc":"2.0","id":2,"result":{"a":1}}"#, #"result 2 {"a":1}"#),
            (#"{"jsonrpc":"2.0","id":"2","result":{}}"#, #"result "2" {}"#),
            (#"{"id":2,"result":{}}"#, "result 2 {}"), (#"{"jsonrpc":2.0,"id":2,"result":7}"#, "result 2 7"),
            (#"{"jsonrpc":"1.0","id":2,"result":null}"#, "result 2 null"),
            (#"{"jsonrpc":"2.0","jsonrpc":"2.0","x":1,"x":2,"id":2,"result":{}}"#, "result 2 {}"),
            (#"{"jsonrpc":"2.0","id":2,"method":null,"params":null,"error":null,"result":{}}"#, "result 2 {}"),
            (#"{"jsonrpc":"2.0","id":2,"method":"tools/call","result":{}}"#, "result 2 {}"),
            (#"{"jsonrpc":"2.0","id":2,"error":{"code":0,"message":""},"result":{"a":1}}"#, #"result 2 {"a":1}"#),
            (#"{"jsonrpc":"2.0","id":2,"error":{},"result":{}}"#, "result 2 {}"),
            (#"{"jsonrpc":"2.0","id":2,"error":false,"result":null}"#, "result 2 null"),
            (
                #"{"jsonrpc":"2.0","id":2,"result":null,"error":{"code":-1,"message":"m"}}"#,
                #"error 2 {"code":-1,"message":"m"}"#
            ),
            (
                #"{"jsonrpc":"2.0","id":2,"result":{ },"error":{"code":-1,"message":"m"}}"#,
                #"error 2 {"code":-1,"message":"m"}"#
            ),
            (#"{"jsonrpc":"2.0","id":2,"error":{}}"#, "error 2 {}"),
            (
                #"{"jsonrpc":"2.0","id":2,"error":{"code":"-7","message":"m","x":1}}"#,
                #"error 2 {"code":-7,"message":"m","x":1}"#
            ),
            (#"{"jsonrpc":"2.0","id":2.0,"error":{"code":-7.0}}"#, #"error 2 {"code":-7}"#),
            (#"{"jsonrpc":"2.0","id":2,"error":{"code":"E_BAD"}}"#, #"error 2 {"code":"E_BAD"}"#),
            (#"{"jsonrpc":"2.0","id":"2","error":"bo\u006fm"}"#, #"error "2" {"code":-32603,"message":"bo\u006fm"}"#),
            (
                #"{"jsonrpc":"2.0","id":2,"error":[1]}"#,
                #"error 2 {"code":-32603,"message":"The server gave no message.","data":[1]}"#
            ),
            (#"{"jsonrpc":"2.0","error":{"code":1}}"#, #"error - {"code":1}"#),
            (#"{"jsonrpc":"2.0","id":null,"error":{"code":1}}"#, #"error - {"code":1}"#),
            (#"{"jsonrpc":"2.0","id":null,"result":{}}"#, "result - {}"),
            (#"{"jsonrpc":"2.0","id":2,"result":{},"result":{}}"#, "unclear 2"),
            (#"{"jsonrpc":"2.0","id":"2","error":{"code":1},"error":{"code":2}}"#, "unclear 2"),
            (#"{"jsonrpc":"2.0","id":2,"result":{"a":1},"error":{"code":1}}"#, "unclear 2"),
            (#"{"jsonrpc":"2.0","id":2e0,"error":null}"#, "unclear 2"),
            (#"{"jsonrpc":"2.0","id":2,"id":2,"result":{}}"#, "result 2 {}"),
            (#"{"jsonrpc":"2.0","id":1,"id":2,"result":{}}"#, "unclear 2"),
        ])
    func aResponse(text: String, expected: String) { #expect(read(text) == [expected]) }

    @Test(
        arguments: [
            (#"{"jsonrpc":"2.0","method":"a","params":{"x":1}}"#, #"notification "a" {"x":1}"#),
            (#"{"jsonrpc":"2.0","method":"a","params":null}"#, #"notification "a" -"#),
            (#"{"jsonrpc":"2.0","method":"a","params":[]}"#, #"notification "a" -"#),
            (#"{"jsonrpc":"2.0","method":"a","params":"x"}"#, #"notification "a" -"#),
            (#"{"jsonrpc":"2.0","method":"a","params":{},"params":{}}"#, #"notification "a" -"#),
            (#"{"jsonrpc":"2.0","method":"a","params":{"x":1,"x":2}}"#, #"notification "a" -"#),
            (#"{"jsonrpc":"2.0","jsonrpc":"2.0","method":"a","params":{"x":1}}"#, #"notification "a" {"x":1}"#),
            (#"{"jsonrpc":"2.0","id":null,"method":"a","result":null,"error":null}"#, #"notification "a" -"#),
            (#"{"jsonrpc":"2.0","id":{},"method":"a"}"#, #"notification "a" -"#),
            (#"{"jsonrpc":"2.0","id":"q","method":"roots/list"}"#, #"request "q" "roots/list" -"#),
            (#"{"jsonrpc":"2.0","id":7.0,"method":"roots/list","params":null}"#, #"request 7 "roots/list" -"#),
        ])
    func aNotificationOrRequest(text: String, expected: String) { #expect(read(text) == [expected]) }

    @Test(
        arguments: [
            ("", "noJSON"), ("[INFO] ready", "noJSON"), ("Content-Length: 12", "noJSON"), ("{oops", "noJSON"),
            ("2025-11-29 ready", "noJSON"), ("\u{1B}[0m{}", "noJSON"), ("{", "noJSON"), ("[{", "noJSON"),
            (#"{"type":"heartbeat"}"#, "noMessage"), ("{}", "noMessage"), ("[]", "noMessage"), ("7", "noMessage"),
            (#"[{"jsonrpc":"2.0","id":1,"result":{}}]"#, "noMessage"), (#"{"jsonrpc":"2.0","id":1}"#, "noMessage"),
            (#"{"level":"info","method":"GET","id":1}"#, "noMessage"),
            (#"{"id":1,"result":"ok","msg":"x"}"#, "noMessage"),
            (#"{"error":"slow"}"#, "noMessage"), (#"{"jsonrpc":"2.0","method":7}"#, "noMessage"),
            (#"{"method":"notifications/message"}"#, "noMessage"),
            (#"{"jsonrpc":"2.0","method":"a","method":"b"}"#, "ambiguous"),
            (#"{"jsonrpc":"2.0","id":1.5,"method":"a"}"#, "ambiguous"),
            (#"{"jsonrpc":"2.0","method":"a","params":{"#, "ambiguous"),
        ])
    func whatIsPassedOver(text: String, flaw: String) { #expect(read(text) == [flaw]) }

    @Test func hundredsOfMembersArePassedOver() {
        let members = (0..<2000).map { #""a\#($0)":1,"# }.joined()
        #expect(read(#"{"jsonrpc":"2.0",\#(members)"method":"a"}"#) == ["ambiguous"])
        let inParams = #"{"jsonrpc":"2.0","method":"a","params":{\#(members)"z":1}}"#
        #expect(read(inParams) == [#"notification "a" -"#])
    }

    @Test func aBatchOf2025_03_26IsTakenApart() {
        let two = #"[{"jsonrpc":"2.0","method":"a"},{},7,{"jsonrpc":"2.0","id":0,"method":"ping"}]"#
        #expect(read(two, .v2025_03_26) == [#"notification "a" -"#, #"request 0 "ping" -"#, "noMessage"])
        #expect(read("[]", .v2025_03_26) == [])
        for revision in Revision.allCases where revision != .v2025_03_26 {
            #expect(read(two, revision) == ["noMessage"])
        }
    }

    @Test(
        arguments: [
            ("\u{FEFF}{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{}}", ["result 2 {}"]),
            (
                #" {"jsonrpc":"2.0","id":2,"result":[NaN,Infinity, -Infinity,"NaN"]}"#,
                [#"result 2 [null,null, null,"NaN"]"#]
            ),
            ("{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":\"a\tb\u{1B}[0m\"}", [#"result 2 "a\tb\u001b[0m""#]),
            (
                #"{"jsonrpc":"2.0","id":2,"result":{}}{"jsonrpc":"2.0","method":"a"}"#,
                ["result 2 {}", #"notification "a" -"#]
            ),
            (#"{"jsonrpc":"2.0","id":2,"result":{}} ready"#, ["result 2 {}", "noJSON"]),
            (#"{} {"jsonrpc":"2.0","id":2,"result":{}}"#, ["result 2 {}", "noMessage"]),
        ])
    func whatIsNotQuiteJSON(text: String, expected: [String]) { #expect(read(text) == expected) }

    @Test func bytesThatAreNoUTF8() {
        #expect(
            read(Array(#"{"jsonrpc":"2.0","id":2,"result":"caf"#.utf8) + [0xE9] + Array("\"}".utf8)) == [
                "result 2 \"caf\u{FFFD}\""
            ])
    }

    @Test(
        arguments: [
            (#"{"jsonrpc":"2.0","id":2,"result":{"content":[{"ty"#, "unclear 2"),
            (#"{"id":"2","jsonrpc":"2.0" , "result":}"#, "unclear 2"),
            (#"{"jsonrpc":"2.0","id":2,"error":oops}"#, "unclear 2"),
            (#"{"jsonrpc":"2.0","id":2,"result":\#(String(repeating: "[", count: 99))"#, "unclear 2"),
            // A text that only quotes a response is none, and it is not known what these answer.
            (#"{sent: {"jsonrpc":"2.0","id":2,"result":{}}}"#, "ambiguous"), (#"{"id":2,"result":}"#, "noJSON"),
            (#"{"result":{},"jsonrpc":"2.0","id":2"#, "ambiguous"),
            (#"{"jsonrpc":"2.0","id":2,"method":"a","params":{"#, "ambiguous"),
            (#"{"jsonrpc":"2.0","id":1,"id":2,"result":}"#, "ambiguous"),
        ])
    func aBrokenResponseAnswersWhatItsStartSays(text: String, expected: String) { #expect(read(text) == [expected]) }

    @Test func manyInOneTextAreBounded() {
        #expect(read(String(repeating: #"{"jsonrpc":"2.0","method":"a"}"#, count: 100)).count <= 18)
        let batch = "[" + String(repeating: "{},", count: 20_000) + #"{"jsonrpc":"2.0","method":"a"}]"#
        #expect(read(batch, .v2025_03_26) == ["noMessage"])
    }

    /// The answer to a request of ours is known by any spelling of its id, and no other.
    @Test(
        arguments: [
            ("2", 2), (#""2""#, 2), ("2.0", 2), ("2e0", 2), ("20e-1", 2), ("0.2e1", 2), (#""2.0""#, 2),
            (#""\u0032""#, 2),
            ("2147483647", 2_147_483_647), ("2.5", nil), (#""two""#, nil), (#""""#, nil), (#""-""#, nil),
            ("1e400", nil),
            ("99999999999999999999", nil), (#""2 ""#, nil), (#"" 2""#, nil), ("1e-400", nil), ("-2.0", -2), ("0e9", 0),
        ] as [(String, Int64?)])
    func theIDOfAnAnswer(id: String, number: Int64?) {
        var messages = ServerMessages(
            Array(#"{"jsonrpc":"2.0","id":\#(id),"result":{}}"#.utf8), revision: nil, maxDepth: 8)
        #expect(messages.next()?.answeredRequest == number)
    }
}
