/// A call of one principal, and what its answer has to hold.
struct Call {
    let principal: Int
    let plan: Plan
    /// Its own, in all that is sent and received.
    let mark: String
    /// What it declares. Every other call may be asked, and has a session of the server for itself.
    let capabilities: String

    init(principal: Int, number: Int, plan: Plan, _ chance: inout Chance) {
        self.principal = principal
        self.plan = plan
        capabilities = number.isMultiple(of: 2) ? "{}" : #"{"elicitation":{}}"#
        mark = "mark-\(principal)-\(number)-\(chance.number(0...1 << 40))"
    }

    var credential: String { "Bearer principal-\(principal)" }

    /// What the server says to it: to whom, in whose session, with which mark.
    static func text(to credential: String, in owner: String, mark: String) -> String {
        "to \(credential) in \(owner) with \(mark)."
    }

    func request(to host: String) -> [UInt8] {
        let fill = plan == .early ? #","fill":"\#(String(repeating: "x", count: 3 << 20))""# : ""
        let body = #"""
            {"jsonrpc":"2.0","id":"\#(mark)","method":"tools/call","params":{"name":"x","arguments":{"plan":"\#(plan.rawValue)","mark":"\#(mark)"\#(fill)},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"crossing","version":"1"},"io.modelcontextprotocol/clientCapabilities":\#(capabilities)}}}
            """#
        return Call.head(to: host, credential: credential, length: body.utf8.count) + Array(body.utf8)
    }

    static func head(to host: String, credential: String, length: Int) -> [UInt8] {
        let lines = [
            "POST /mcp HTTP/1.1", "Host: \(host)", "Content-Type: application/json",
            "Accept: application/json, text/event-stream", "MCP-Protocol-Version: 2026-07-28", "Mcp-Method: tools/call",
            "Mcp-Name: x", "Authorization: \(credential)", "Content-Length: \(length)", "", "",
        ]
        return Array(lines.joined(separator: "\r\n").utf8)
    }

    enum Verdict: Equatable {
        case own
        case error(String)
        /// It holds what is not the caller's.
        case foreign(String)
    }

    func judge(_ response: Response) -> Verdict {
        let body = response.body
        if body.contains("A LIE") { return .foreign("a lie") }
        var position = 0
        // Every mark and every credential in it.
        while let found = body.find("mark-", from: position) {
            let end = body[found...].firstIndex { !Call.isOfMark($0) } ?? body.count
            let other = String(decoding: body[found..<end], as: UTF8.self)
            if other != mark { return .foreign("\(other) in place of \(mark)") }
            position = end
        }
        position = 0
        while let found = body.find("principal-", from: position) {
            let end = body[found...].firstIndex { !Call.isOfMark($0) } ?? body.count
            let other = String(decoding: body[found..<end], as: UTF8.self)
            if "Bearer \(other)" != credential { return .foreign("\(other) in place of \(credential)") }
            position = end
        }
        guard response.status == 200, body.contains(#""id":"\#(mark)""#) else {
            return .error(
                "status \(response.status)" + (body.text(after: #""reason":""#, until: 0x22).map { ", \($0)" } ?? ""))
        }
        if body.contains(Call.text(to: credential, in: credential, mark: mark)) { return .own }
        return .error(body.text(after: #""reason":""#, until: 0x22) ?? "another text")
    }

    private static func isOfMark(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x61...0x7A).contains(byte) || byte == 0x2D
    }
}
