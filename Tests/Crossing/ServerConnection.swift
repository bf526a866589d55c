/// One connection of the server: a request, its answer, the next request.
final class ServerConnection: Link {
    private let server: Server
    private var input: [UInt8] = []
    private var isAnswering = false
    /// Of a body that is not read before the answer.
    private var dropping = 0

    private struct Request {
        let method: String
        let credential: String
        let session: String
        let length: Int
    }

    init(_ descriptor: Int32, of server: Server) {
        self.server = server
        super.init(descriptor, on: server.poller)
    }

    override func received(_ bytes: UnsafeRawBufferPointer) {
        input += bytes
        proceed()
    }

    private func proceed() {
        while isOpen, !isAnswering {
            if dropping > 0 {
                let count = min(dropping, input.count)
                input.removeFirst(count)
                dropping -= count
                if dropping > 0 { return }
            }
            guard let end = input.find("\r\n\r\n") else { return }
            let request = ServerConnection.request(in: String(decoding: input[..<end], as: UTF8.self))
            let isWhole = input.count >= end + 4 + request.length
            // A large body is answered before it has come.
            guard isWhole || (request.length > 1 << 20 && input.count > end + 2000) else { return }
            let body = Array(input[(end + 4)..<min(input.count, end + 4 + request.length)])
            dropping = end + 4 + request.length
            isAnswering = true
            answer(request, body)
        }
    }

    private static func request(in head: String) -> Request {
        let lines = head.split(separator: "\r\n")
        func field(_ name: String) -> String {
            for line in lines where line.lowercased().hasPrefix(name + ":") {
                return String(line.dropFirst(name.count + 1).drop { $0 == " " })
            }
            return ""
        }
        return Request(
            method: String(lines[0].prefix { $0 != " " }), credential: field("authorization"),
            session: field("mcp-session-id"), length: Int(field("content-length")) ?? 0)
    }

    private func done(closes: Bool = false) {
        if closes { return close() }
        isAnswering = false
        proceed()
    }

    private func answer(_ request: Request, _ body: [UInt8]) {
        guard request.method == "POST" else {
            write(head(request.method == "GET" ? "405 No" : "200 OK", length: 0))
            return done()
        }
        guard let id = body.text(after: #""id":"#, until: 0x2C) ?? body.text(after: #""id":"#, until: 0x7D) else {
            write(head("202 Accepted", length: 0))
            return done()
        }
        switch body.text(after: #""method":""#, until: 0x22) {
        case "initialize":
            let session = server.open(for: request.credential)
            let result =
                #"{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"c","version":"1"}}"#
            document(#"{"jsonrpc":"2.0","id":\#(id),"result":\#(result)}"#, "Mcp-Session-Id: \(session)\r\n")
        case "tools/list":
            document(
                #"{"jsonrpc":"2.0","id":\#(id),"result":{"tools":[{"name":"x","inputSchema":{"type":"object"}}]}}"#)
        case "tools/call": call(request, id, body)
        default: document(#"{"jsonrpc":"2.0","id":\#(id),"result":{}}"#)
        }
    }

    private func document(_ text: String, _ fields: String = "") {
        write(head("200 OK", length: text.utf8.count, "Content-Type: application/json\r\n" + fields) + Array(text.utf8))
        done()
    }

    private func head(_ status: String, length: Int, _ fields: String = "") -> [UInt8] {
        [UInt8](text: "HTTP/1.1 \(status)\r\n\(fields)Content-Length: \(length)\r\n\r\n")
    }

    // MARK: Calls

    private static let streamHead = [UInt8](
        text: "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    private static let last = [UInt8](text: "0\r\n\r\n")

    private func chunk(_ text: String) -> [UInt8] { chunk(Array(text.utf8)[...]) }

    private func chunk(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
        [UInt8](text: String(bytes.count, radix: 16)) + [13, 10] + bytes + [13, 10]
    }

    private func call(_ request: Request, _ id: String, _ body: [UInt8]) {
        let plan =
            body.text(after: #""plan":""#, until: 0x22).flatMap { $0.first }.flatMap { Plan(rawValue: $0) } ?? .json
        let mark = body.text(after: #""mark":""#, until: 0x22) ?? "none"
        var text = Call.text(to: request.credential, in: server.owner(of: request.session), mark: mark)
        if plan == .large { text += String(repeating: " \(mark)", count: 20_000) }
        let response = #"{"jsonrpc":"2.0","id":\#(id),"result":{"content":[{"type":"text","text":"\#(text)"}]}}"#
        let event = "data: \(response)\n\n"
        let json = "Content-Type: application/json\r\n"
        switch plan {
        case .json, .large, .early: document(response)
        case .piecewise: play(pieces(head("200 OK", length: response.utf8.count, json) + Array(response.utf8), most: 6))
        case .chunked:
            let start = [UInt8](text: "HTTP/1.1 200 OK\r\n\(json)Transfer-Encoding: chunked\r\n\r\n")
            play(pieces(start + chunks(Array(response.utf8)) + ServerConnection.last, most: 4))
        case .events:
            write(ServerConnection.streamHead + chunk(event) + ServerConnection.last)
            done()
        case .interleaved:
            let all = ": before\n\n\(event): behind\n\n: and more\n\n"
            play(pieces(ServerConnection.streamHead + chunks(Array(all.utf8)) + ServerConnection.last, most: 40))
        case .late: late(event, after: 0)
        case .later: late(event, after: 50)
        case .echo:
            let echo = Hostile.echo
            let size = echo.reduce(2) { $0 + $1.count }
            let start = [UInt8](text: String(size, radix: 16) + "\r\n: ")
            let end = [13, 10] + ServerConnection.last
            late(event, after: 50, then: [(60, start + echo[0]), (20, echo[1] + end)])
        case .lateComments:
            let first = ServerConnection.streamHead + chunk(": before\n\n") + chunk(event) + chunk(": behind\n\n")
            let ends = (0..<5).map { _ in (10, chunk(": \(mark) HTTP/1.1 200 OK\n\n")) }
            play([(0, first)] + ends + [(10, ServerConnection.last)])
        case .buried:
            let large = String(repeating: "x", count: 300 << 10)
            let told =
                #"data: {"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"\#(large)"}}"#
            let more = String(repeating: ": more\n\n", count: 20_000)
            play([
                (0, ServerConnection.streamHead + chunks(Array("\(told)\n\n\(more)\(event)".utf8), size: 1000)),
                (1, ServerConnection.last),
            ])
        case .closing:
            play(
                [
                    (
                        0,
                        head("200 OK", length: response.utf8.count, json + "Connection: close\r\n")
                            + Array(response.utf8)
                    )
                ], closes: true)
        case .untilClose:
            let start = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
            play(pieces([UInt8](text: start + event), most: 3), closes: true)
        case .reset:
            poller.after(server.chance.number(0...3)) { [self] in reset() }
        case .cut:
            let all = ServerConnection.streamHead + chunk(event)
            play([(0, Array(all[..<server.chance.number(1...all.count - 20)]))], closes: true)
        case .garbage: play([(0, [UInt8](text: "HTTP/1.1 200 WHAT\r\n: no\r\n\r\n\(mark)"))], closes: true)
        case .never:
            poller.after(1000) { [self] in close() }
        }
    }

    /// The response and a comment in one packet, and the end later. The comment is as long as what a client may want taken for
    /// the end (`Hostile.end`).
    private func late(_ event: String, after pause: Int, then rest: [(Int, [UInt8])]? = nil) {
        let first = ServerConnection.streamHead + chunk(event) + [UInt8](text: "4\r\n:aa\n\r\n")
        play([(pause, first)] + (rest ?? [(60, chunk(": this is no answer to anybody\n\n") + ServerConnection.last)]))
    }

    private func chunks(_ bytes: [UInt8], size: Int? = nil) -> [UInt8] {
        var all: [UInt8] = []
        var start = 0
        while start < bytes.count {
            let end = min(bytes.count, start + (size ?? server.chance.number(1...60)))
            all += chunk(bytes[start..<end])
            start = end
        }
        return all
    }

    /// Cuts at random places, with pauses between.
    private func pieces(_ bytes: [UInt8], most: Int) -> [(Int, [UInt8])] {
        let places = (0..<server.chance.number(0...most)).map { _ in server.chance.number(1...bytes.count - 1) }
        let cuts = [0] + Set(places).sorted() + [bytes.count]
        return zip(cuts, cuts.dropFirst()).map { start, end in
            (server.chance.happens(500) ? 0 : server.chance.number(0...2), Array(bytes[start..<end]))
        }
    }

    private func play(_ pieces: [(Int, [UInt8])], closes: Bool = false) {
        guard isOpen else { return }
        guard let (pause, bytes) = pieces.first else { return done(closes: closes) }
        let rest = Array(pieces.dropFirst())
        if pause == 0 {
            write(bytes)
            return play(rest, closes: closes)
        }
        poller.after(pause) { [self] in
            write(bytes)
            play(rest, closes: closes)
        }
    }
}
