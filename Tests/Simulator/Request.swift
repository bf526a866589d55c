/// A request of a client, and its answer.
final class Exchange {
    enum Kind {
        case call(Call)
        case other(String)
        case bad
        case initialize
        /// It ends when its client leaves.
        case listen(String)
    }

    let kind: Kind
    let request: Request
    let caller: Caller
    /// When it was sent.
    var begun: Int64 = 0
    /// Of a request with answers: what it carries.
    let retry: (state: String, answers: String)?
    var isRetry: Bool { retry != nil }

    init(_ kind: Kind, _ request: Request, _ caller: Caller, retry: (state: String, answers: String)? = nil) {
        self.retry = retry
        self.kind = kind
        self.request = request
        self.caller = caller
    }
}

/// What a client sends.
struct Request {
    let head: String
    let body: String
    /// Of its JSON-RPC request, as it is spelled; nil where there is none.
    let id: String?

    private static let prefix = "io.modelcontextprotocol/"

    private static func meta(isAskable: Bool, _ more: String = "") -> String {
        #""_meta":{"\#(prefix)protocolVersion":"2026-07-28","\#(prefix)clientInfo":{"name":"played","version":"1"},"\#(prefix)clientCapabilities":{\#(isAskable ? #""elicitation":{"form":{},"url":{}}"# : "")}\#(more)}"#
    }

    private static func lines(_ method: String, name: String?) -> String {
        "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:8808\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2026-07-28\r\nMcp-Method: \(method)\r\n"
            + (name.map { "Mcp-Name: \($0)\r\n" } ?? "")
    }

    static func call(_ call: Call, retry: (state: String, answers: String)?) -> Request {
        let long = String("i", times: call.idFill)
        let id = "\"\(call.mark)-\(retry == nil ? 0 : 1)\(long)\""
        let fill = call.fill > 0 ? #","fill":"\#(String("f", times: call.fill))""# : ""
        let (name, own) =
            switch call.tool {
            case .prompt: ("prompt", #""name":"prompt","arguments":{"mark":"\#(call.mark)"}"#)
            case .resource: ("test:\(call.mark)\(long)", #""uri":"test:\#(call.mark)\#(long)""#)
            default:
                (call.tool.rawValue, #""name":"\#(call.tool.rawValue)","arguments":{"mark":"\#(call.mark)"\#(fill)}"#)
            }
        let retried = retry.map { #","requestState":"\#($0.state)","inputResponses":{\#($0.answers)}"# } ?? ""
        let more = call.number % 3 == 0 ? #","progressToken":"\#(call.mark)""# : ""
        let body =
            #"{"jsonrpc":"2.0","id":\#(id),"method":"\#(call.tool.method)","params":{\#(own)\#(retried),\#(meta(isAskable: call.isAskable, more))}}"#
        return Request(head: lines(call.tool.method, name: name), body: body, id: id)
    }

    static func other(_ method: String, isAskable: Bool) -> Request {
        let body = #"{"jsonrpc":"2.0","id":7,"method":"\#(method)","params":{\#(meta(isAskable: isAskable))}}"#
        return Request(head: lines(method, name: nil), body: body, id: "7")
    }

    static func listen(_ id: String, to uris: [String]) -> Request {
        let wanted = uris.map { "\"\($0)\"" }.joined(separator: ",")
        let body =
            #"{"jsonrpc":"2.0","id":"\#(id)","method":"subscriptions/listen","params":{"notifications":{"resourceSubscriptions":[\#(wanted)]},\#(meta(isAskable: false))}}"#
        return Request(head: lines("subscriptions/listen", name: nil), body: body, id: "\"\(id)\"")
    }

    /// What is wrong, and is answered all the same.
    static func bad() -> Request {
        let wrong = Dice.one(of: ["{", "[]", "{\"jsonrpc\":\"2.0\",\"method\":\"x\"}", "\u{1}", ""])
        let path = Dice.happens(500) ? "/mcp" : "/nowhere"
        return Request(
            head:
                "POST \(path) HTTP/1.1\r\nHost: 127.0.0.1:8808\r\nContent-Type: application/json\r\nMCP-Protocol-Version: 2026-07-28\r\n",
            body: wrong, id: nil)
    }

    // MARK: Of older clients

    private static func olderLines(_ session: String?) -> String {
        "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:8808\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"
            + (session.map { "MCP-Protocol-Version: 2025-11-25\r\nMcp-Session-Id: \($0)\r\n" } ?? "")
    }

    static func initialize() -> Request {
        Request(
            head: olderLines(nil),
            body:
                #"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"older","version":"1"}}}"#,
            id: "1")
    }

    static func initialized(_ session: String?) -> Request {
        Request(head: olderLines(session), body: #"{"jsonrpc":"2.0","method":"notifications/initialized"}"#, id: nil)
    }

    static func older(_ method: String, _ session: String?) -> Request {
        Request(head: olderLines(session), body: #"{"jsonrpc":"2.0","id":7,"method":"\#(method)"}"#, id: "7")
    }

    static func older(_ call: Call, _ session: String?) -> Request {
        let own =
            switch call.tool {
            case .prompt: #""name":"prompt","arguments":{"mark":"\#(call.mark)"}"#
            case .resource: #""uri":"test:\#(call.mark)""#
            default: #""name":"\#(call.tool.rawValue)","arguments":{"mark":"\#(call.mark)"}"#
            }
        let id = call.number + 10
        return Request(
            head: olderLines(session),
            body: #"{"jsonrpc":"2.0","id":\#(id),"method":"\#(call.tool.method)","params":{\#(own)}}"#, id: "\(id)")
    }

    func bytes(of caller: Caller) -> [UInt8] {
        let credential = caller.credential.map { "Authorization: \($0)\r\n" } ?? ""
        return Array("\(head)\(credential)Content-Length: \(body.utf8.count)\r\n\r\n\(body)".utf8)
    }
}
