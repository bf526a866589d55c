import JSONText
import Reactor
import TestSupport

/// A legacy MCP server over Streamable HTTP that answers as its test says.
final class ScriptedMCPServer {
    /// A JSON-RPC request that has come.
    struct Call {
        let request: ReceivedRequest
        let method: String
        /// The id as it came; empty for a notification.
        let id: String
        /// The cursor of a request for a list.
        let cursor: String?
        /// The URI of a request about a resource.
        let uri: String?

        /// - Parameter result: JSON.
        func answer(_ result: String) { request.respond(#"{"jsonrpc":"2.0","id":\#(id),"result":\#(result)}"#) }

        func fail(_ code: Int, _ message: String = "no") {
            request.respond(
                #"{"jsonrpc":"2.0","id":\#(id),"error":{"code":\#(code),"message":"\#(message)"}}"#)
        }
    }

    let server: ScriptedServer
    /// The capabilities that it declares, as JSON.
    var capabilities = #"{"tools":{"listChanged":true},"resources":{"subscribe":true,"listChanged":true}}"#
    var revision = "2025-06-18"
    var version = "1"
    /// Whether it has a GET stream for each session.
    var hasStreams = true
    /// The status by which it refuses `initialize`; nil where it does not.
    var refusal: String?
    /// Called with each request but those of a handshake.
    var respond: (Call) -> Void
    /// The connections with an open GET stream.
    private(set) var streams: [Peer] = []
    /// How many sessions it has opened.
    private(set) var sessions = 0
    /// Sessions that it knows no longer.
    var lost: Set<String> = []

    init(on loop: Loop, respond: @escaping (Call) -> Void = { $0.fail(-32601) }) throws {
        self.respond = respond
        server = try ScriptedServer(on: loop)
        server.inbox.respond = { [unowned self] in receive($0) }
    }

    /// The requests with this method, as soon as there are so many.
    @discardableResult
    func requests(of method: String, count: Int = 1) async throws -> [ReceivedRequest] {
        try await server.inbox.requests(method, count: count) { $0.body.contains(#""method":"\#(method)""#) }
    }

    /// Waits until a client has opened a GET stream.
    func untilStream() async throws {
        _ = try await server.inbox.requests("stream") { $0.startLine.hasPrefix("GET ") }
    }

    func count(of method: String) -> Int {
        server.requests.count { $0.body.contains(#""method":"\#(method)""#) }
    }

    /// Sends a notification on every GET stream.
    func push(_ method: String, _ params: String = "{}") {
        let event = #"data: {"jsonrpc":"2.0","method":"\#(method)","params":\#(params)}"# + "\n\n"
        for peer in streams where peer.socket.isOpen {
            peer.write("\(String(event.utf8.count, radix: 16))\r\n\(event)\r\n")
        }
    }

    private func receive(_ request: ReceivedRequest) {
        if request.startLine.hasPrefix("DELETE ") { return request.respond() }
        if let session = request.field("mcp-session-id"), lost.contains(session) {
            return request.respond(status: "404 Not Found")
        }
        if request.startLine.hasPrefix("GET ") {
            guard hasStreams else { return request.respond(status: "405 Method Not Allowed") }
            streams.append(request.peer)
            return request.peer.write(
                "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        }
        guard let call = call(of: request) else { return request.respond(status: "202 Accepted") }
        if call.method != "initialize" { return respond(call) }
        if let refusal { return request.respond(status: refusal) }
        sessions += 1
        request.respond(
            #"{"jsonrpc":"2.0","id":\#(call.id),"result":{"protocolVersion":"\#(revision)","#
                + #""capabilities":\#(capabilities),"serverInfo":{"name":"s","version":"\#(version)"}}}"#,
            fields: "Mcp-Session-Id: s\(sessions)\r\n")
    }

    /// Nil for what is no request.
    private func call(of request: ReceivedRequest) -> Call? {
        guard let document = try? JSONDocument(Array(request.body.utf8)),
            let id = document.value("id", of: document.root),
            let method = document.value("method", of: document.root, .string).flatMap({ document.string($0) })
        else { return nil }
        let params = document.value("params", of: document.root, .object)
        func text(_ name: StaticString) -> String? {
            params.flatMap { document.value(name, of: $0, .string) }.flatMap { document.string($0) }
        }
        return Call(
            request: request, method: method, id: String(decoding: document.raw(id), as: UTF8.self),
            cursor: text("cursor"), uri: text("uri"))
    }
}
