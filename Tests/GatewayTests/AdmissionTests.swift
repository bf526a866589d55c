import Testing

@testable import Gateway

/// The rows of the front door (the translation contract, §1), and their order.
@Suite struct AdmissionTests {
    struct Row: Sendable, CustomTestStringConvertible {
        let name: String
        let outcome: String
        let change: @Sendable (inout Knock) -> Void

        init(_ name: String, _ outcome: String, _ change: @escaping @Sendable (inout Knock) -> Void) {
            self.name = name
            self.outcome = outcome
            self.change = change
        }

        var testDescription: String { name }
    }

    private static let unsupported = #"{"supported":["2026-07-28"],"requested":"2025-11-25"}"#

    static let rows: [Row] = [
        Row("good", "request") { _ in },
        Row("charset", "request") { $0.contentType = "Application/JSON; charset=utf-8" },
        Row("query", "request") { $0.path = "/mcp?x=1" },
        Row("integer id", "request") { $0.id = "12345678901234567890123" },
        Row("session id is ignored", "request") { $0.moreFields = "Mcp-Session-Id: s\r\nLast-Event-ID: 1\r\n" },
        Row("escaped method", "request") { $0.method = #"tools\/c\u0061ll"# },
        Row("encoded name", "request") { $0.nameHeader = "=?base64?YWRk?=" },
        Row("no name where the method has none", "request") {
            $0.method = "tools/list"
            $0.methodHeader = "tools/list"
            $0.nameHeader = nil
            $0.params = ""
        },
        Row("a name where the method has none", "request") {
            $0.method = "tools/list"
            $0.methodHeader = "tools/list"
        },
        Row("a uri", "request") {
            $0.method = "resources/read"
            $0.methodHeader = "resources/read"
            $0.nameHeader = "=?base64?ZmlsZTovLy/DqQ==?="
            $0.params = #""uri":"file:///\u00e9","#
        },
        // 1 to 5
        Row("origin", "403 -32600 -") { $0.origin = "https://evil.example" },
        Row("host", "421 -32600 -") { $0.host = "evil.example" },
        Row("path", #"404 -32600 "c-1""#) { $0.path = "/" },
        Row("path below", #"404 -32600 "c-1""#) { $0.path = "/mcp/" },
        Row("GET", #"405 -32600 "c-1""#) { $0.httpMethod = "GET" },
        Row("DELETE", #"405 -32600 "c-1""#) { $0.httpMethod = "DELETE" },
        Row("HEAD", #"405 -32600 "c-1""#) { $0.httpMethod = "HEAD" },
        Row("no type", #"415 -32600 "c-1""#) { $0.contentType = nil },
        Row("other type", #"415 -32600 "c-1""#) { $0.contentType = "text/plain" },
        Row("type that begins alike", #"415 -32600 "c-1""#) { $0.contentType = "application/json-rpc" },
        // 6
        Row("not JSON", "400 -32700 -") { $0.body = "{" },
        Row("empty", "400 -32700 -") { $0.body = "" },
        Row("byte order mark", "400 -32700 -") { $0.body = "\u{FEFF}" + Knock().text },
        Row("two texts", "400 -32700 -") { $0.body = Knock().text + Knock().text },
        Row("too deep", "400 -32700 -") { $0.params += String(repeating: #""a":{"#, count: 40) },
        Row("batch", "400 -32600 -") { $0.body = "[" + Knock().text + "]" },
        Row("no object", "400 -32600 -") { $0.body = "7" },
        Row("version of JSON-RPC", "400 -32600 7") { $0.body = #"{"jsonrpc":"1.0","id":7,"method":"a"}"# },
        Row("null id", "400 -32600 -") { $0.id = "null" },
        Row("fraction id", "400 -32600 -") { $0.id = "1.5" },
        Row("member twice", #"400 -32600 "c-1""#) { $0.moreMembers = #","method":"tools/list""# },
        Row("id twice", "400 -32600 -") { $0.moreMembers = #","id":2"# },
        Row("name twice", #"400 -32600 "c-1""#) { $0.params = #""name":"add","n\u0061me":"rm","# },
        Row("no method", #"400 -32600 "c-1""#) { $0.body = #"{"jsonrpc":"2.0","id":"c-1"}"# },
        // 3, with the pass-through off
        Row("initialize", #"400 -32022 1 \#(unsupported)"#) {
            $0.body = #"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}"#
            $0.versionHeader = nil
        },
        Row("older header", #"400 -32022 1 \#(unsupported)"#) {
            $0.body = #"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#
            $0.versionHeader = "2025-11-25"
        },
        Row("no version anywhere", "400 -32020 1") {
            $0.body = #"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#
            $0.versionHeader = nil
        },
        // 7 and 8
        Row("response", "400 -32600 1") { $0.body = #"{"jsonrpc":"2.0","id":1,"result":{}}"# },
        Row("error", "400 -32600 1") { $0.body = #"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"m"}}"# },
        Row("notification", "notification") {
            $0.body = #"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#
        },
        Row("unknown notification", "notification") { $0.body = #"{"jsonrpc":"2.0","method":"x"}"# },
        // 9
        Row("no version header", #"400 -32020 "c-1""#) { $0.versionHeader = nil },
        Row("version header differs", #"400 -32020 "c-1""#) { $0.versionHeader = "2027-01-01" },
        Row("older version header differs", #"400 -32020 "c-1""#) { $0.versionHeader = "2025-11-25" },
        Row("version header twice", #"400 -32020 "c-1""#) { $0.moreFields = "mcp-protocol-version: 2026-07-28\r\n" },
        Row("no method header", #"400 -32020 "c-1""#) { $0.methodHeader = nil },
        Row("method header differs", #"400 -32020 "c-1""#) { $0.methodHeader = "tools/list" },
        Row("method header differs in case", #"400 -32020 "c-1""#) { $0.methodHeader = "Tools/Call" },
        Row("method header twice", #"400 -32020 "c-1""#) { $0.moreFields = "Mcp-Method: tools/call\r\n" },
        Row("no name header", #"400 -32020 "c-1""#) { $0.nameHeader = nil },
        Row("name header differs", #"400 -32020 "c-1""#) { $0.nameHeader = "rm" },
        Row("name header twice", #"400 -32020 "c-1""#) { $0.moreFields = "Mcp-Name: add\r\n" },
        Row("name header not ASCII", #"400 -32020 "c-1""#) {
            $0.nameHeader = "é"
            $0.params = #""name":"é","#
        },
        Row("half a pair in the name", #"400 -32020 "c-1""#) {
            $0.nameHeader = "=?base64?77+9?="
            $0.params = #""name":"\ud800","#
        },
        Row("half a pair among others in the name", #"400 -32020 "c-1""#) {
            $0.nameHeader = "=?base64?Ye+/vWI=?="
            $0.params = #""name":"a\udc00b","#
        },
        Row("half a pair in the header", #"400 -32020 "c-1""#) {
            $0.nameHeader = "=?base64?7aCA?="
            $0.params = #""name":"\ud800","#
        },
        Row("half a pair in the method", #"400 -32020 "c-1""#) {
            $0.method = #"x\ud800"#
            $0.methodHeader = "x\u{FFFD}"
        },
        Row("half a pair in the version", #"400 -32020 "c-1""#) {
            $0.version = #""2026-07-28\ud800""#
            $0.versionHeader = "2026-07-28\u{FFFD}"
        },
        Row("a name of U+FFFD", "request") {
            $0.nameHeader = "=?base64?77+9?="
            $0.params = #""name":"\ufffd","#
        },
        Row("a name that looks encoded", #"400 -32020 "c-1""#) {
            $0.nameHeader = "=?base64?YWRk?="
            $0.params = #""name":"=?base64?YWRk?=","#
        },
        Row("a name that looks encoded, encoded", "request") {
            $0.nameHeader = "=?base64?PT9iYXNlNjQ/WVdSaz89?="
            $0.params = #""name":"=?base64?YWRk?=","#
        },
        Row("base64 of another name", #"400 -32020 "c-1""#) { $0.nameHeader = "=?base64?YWRl?=" },
        Row("base64 without padding", #"400 -32020 "c-1""#) {
            $0.nameHeader = "=?base64?YQ?="
            $0.params = #""name":"a","#
        },
        Row("an escaped name of the name", "request") { $0.params = #""n\u0061me":"add","arguments":{},"# },
        Row("a name twice in other letters", #"400 -32600 "c-1""#) { $0.params = #""name":"add","nam\u0065":"rm","# },
        Row("_meta twice", #"400 -32600 "c-1""#) { $0.params = #""name":"add","_m\u0065ta":{},"# },
        Row("a key of _meta twice", #"400 -32600 "c-1""#) {
            $0.capabilities = #"{},"io.modelcontextprotocol\/clientCapabilities":{}"#
        },
        Row("capabilities of 16 KiB", "request") {
            $0.capabilities = #"{"x":"\#(String(repeating: "x", count: 16376))"}"#
        },
        Row("capabilities of more", #"400 -32602 "c-1""#) {
            $0.capabilities = #"{"x":"\#(String(repeating: "x", count: 16377))"}"#
        },
        Row("members without end in params", #"400 -32600 "c-1""#) {
            $0.params += (0..<2000).map { #""m\#($0)":0,"# }.joined()
        },
        Row("members without end in the message", #"400 -32600 "c-1""#) {
            $0.moreMembers = (0..<2000).map { #","m\#($0)":0"# }.joined()
        },
        Row("keys without end in _meta", #"400 -32600 "c-1""#) {
            $0.capabilities = "{}" + (0..<11_000).map { #","m\#($0)":0"# }.joined()
        },
        Row("arguments without end", "request") {
            $0.params = #""name":"add","arguments":{\#((0..<5000).map { #""m\#($0)":0"# }.joined(separator: ","))},"#
        },
        Row("name header badly encoded", #"400 -32020 "c-1""#) { $0.nameHeader = "=?base64?YWRk=?=" },
        Row("name header without a name", #"400 -32020 "c-1""#) { $0.params = "" },
        Row("name header, name no string", #"400 -32020 "c-1""#) { $0.params = #""name":7,"# },
        Row("unknown method, header differs", #"400 -32020 "c-1""#) { $0.method = "x" },
        // 10
        Row("no version in the body", #"400 -32602 "c-1""#) { $0.version = nil },
        Row("version no string", #"400 -32602 "c-1""#) { $0.version = "20260728" },
        Row("no capabilities", #"400 -32602 "c-1""#) { $0.capabilities = nil },
        Row("capabilities no object", #"400 -32602 "c-1""#) { $0.capabilities = "[]" },
        Row("no params", #"400 -32602 "c-1""#) {
            $0.body = #"{"jsonrpc":"2.0","id":"c-1","method":"tools/call"}"#
            $0.nameHeader = nil
        },
        // 11
        Row("a later version", #"400 -32022 "c-1" {"supported":["2026-07-28"],"requested":"2027-01-01"}"#) {
            $0.version = #""2027-01-01""#
            $0.versionHeader = "2027-01-01"
        },
        Row("an older version", #"400 -32022 "c-1" \#(unsupported)"#) {
            $0.version = #""2025-11-25""#
            $0.versionHeader = "2025-11-25"
        },
        Row("a version that is none", #"400 -32022 "c-1" {"supported":["2026-07-28"],"requested":"\"x\\"}"#) {
            $0.version = #""\"x\\""#
            $0.versionHeader = #""x\"#
        },
        // 12
        Row("a method that an extension may have", "request") {
            $0.method = "x"
            $0.methodHeader = "x"
        },
        Row("empty method", #"404 -32601 "c-1""#) {
            $0.method = ""
            $0.methodHeader = ""
        },
        Row("removed method", #"404 -32601 "c-1""#) {
            $0.method = "initialize"
            $0.methodHeader = "initialize"
        },
    ]

    @Test(arguments: rows)
    func aRowIsAnsweredAsTheContractSays(row: Row) throws {
        #expect(try outcome(Knock().changed(row.change).admitted()) == row.outcome)
    }

    // MARK: Order

    /// Faults that can be combined, in the order in which they are to be told.
    static let faults: [Row] = [
        Row("origin", "403 -32600 -") { $0.origin = "null" },
        Row("host", "421 -32600 -") { $0.host = "evil.example" },
        Row("path", #"404 -32600 "c-1""#) { $0.path = "/other" },
        Row("method", #"405 -32600 "c-1""#) { $0.httpMethod = "PUT" },
        Row("type", #"415 -32600 "c-1""#) { $0.contentType = "text/plain" },
        Row("JSON", "400 -32700 -") { $0.moreMembers += "," },
        Row("duplicate", #"400 -32600 "c-1""#) { $0.moreMembers = #","jsonrpc":"2.0""# + $0.moreMembers },
        Row("mismatch", #"400 -32020 "c-1""#) { $0.nameHeader = "other" },
        Row("capabilities", #"400 -32602 "c-1""#) { $0.capabilities = nil },
        Row("version", #"400 -32022 "c-1" {"supported":["2026-07-28"],"requested":"9"}"#) {
            $0.version = #""9""#
            $0.versionHeader = "9"
        },
    ]

    @Test(arguments: faults.indices, faults.indices)
    func theEarlierOfTwoFaultsIsTold(first: Int, second: Int) throws {
        guard first <= second else { return }
        let knock = Knock().changed(Self.faults[first].change).changed(Self.faults[second].change)
        var expected = Self.faults[first].outcome
        // The id cannot be read from what is not JSON.
        if second == 5 { expected = expected.replacing(#""c-1""#, with: "-") }
        #expect(try outcome(knock.admitted()) == expected)
    }
}
