import Reactor
import TestSupport

/// An MCP server over HTTP+SSE (2024-11-05): a GET opens a session, whose messages are posted to a path of its own.
final class ScriptedEventStreamServer {
    let server: ScriptedServer
    /// The connections of the sessions, each with its stream.
    private(set) var streams: [Peer] = []
    /// Called with each message that was posted, and the stream of its session.
    var respond: (_ body: String, _ stream: Peer) -> Void

    init(on loop: Loop, respond: @escaping (_ body: String, _ stream: Peer) -> Void) throws {
        self.respond = respond
        server = try ScriptedServer(on: loop)
        server.inbox.respond = { [unowned self] in receive($0) }
    }

    private func receive(_ request: ReceivedRequest) {
        if request.startLine.hasPrefix("GET ") {
            streams.append(request.peer)
            request.peer.write(
                "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
            return ScriptedEventStreamServer.send("/post/\(streams.count - 1)", event: "endpoint", on: request.peer)
        }
        let path = request.startLine.split(separator: " ").dropFirst().first ?? ""
        guard let number = path.split(separator: "/").last.flatMap({ Int($0) }), streams.indices.contains(number) else {
            return request.respond(status: "404 Not Found")
        }
        request.respond(status: "202 Accepted")
        respond(request.body, streams[number])
    }

    static func send(_ data: String, event: String = "message", on stream: Peer) {
        let text = "event: \(event)\ndata: \(data)\n\n"
        stream.write("\(String(text.utf8.count, radix: 16))\r\n\(text)\r\n")
    }
}
