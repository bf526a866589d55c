import Crypto
import HTTPTransport
import HTTPWire
import JSONText
import MCP
package import Reactor

/// A small legacy MCP server (2025-11-25, Streamable HTTP, with sessions), for the demo, the tests and the benchmark.
///
/// It is strict about what a client must send and does nothing that a real server would not, so that what works against
/// it has a chance elsewhere.
package final class DemoServer {
    private static let limits = HTTPServerConnection.Limits(
        maxBody: 64 * 1024 * 1024, headerTimeout: .seconds(10), bodyTimeout: .seconds(30), idleTimeout: .seconds(75))
    /// Sessions that are kept. Beyond them each new session replaces another.
    private static let maxSessions = 10_000
    /// Each session has a GET stream, and perhaps a call that waits.
    private static let maxConnections = 25_000

    private let loop: Loop
    private let listener: Listener
    private let prefersStreams: Bool
    private var sessions: [[UInt8]: DemoSession] = [:]

    package var address: SocketAddress { listener.address }

    /// - Parameter prefersStreams: answers every request with an event stream, as the Python SDK does; otherwise only
    ///   those during which there is something to say.
    package init(on loop: Loop, address: SocketAddress, prefersStreams: Bool) throws(SystemError) {
        self.loop = loop
        self.prefersStreams = prefersStreams
        listener = try Listener(on: loop, address: address, maxConnections: DemoServer.maxConnections, shared: false)
    }

    package func startServing() {
        listener.startAccepting { [unowned self] socket in
            let connection = HTTPServerConnection(socket, on: loop, limits: DemoServer.limits)
            loop.spawn { await self.serveConnection(connection) }
        }
    }

    private func serveConnection(_ connection: HTTPServerConnection) async {
        defer { listener.connectionClosed() }
        while true {
            switch await connection.nextArrival() {
            case .closed:
                return
            case .flawed:
                connection.respond(HTTPResponse(status: 400, closes: true))
            case .request(let request):
                await serveRequest(request, on: connection)
            }
        }
    }

    private func serveRequest(_ request: HTTPServerRequest, on connection: HTTPServerConnection) async {
        guard request.head.path.elementsEqual("/mcp".utf8) else {
            return connection.respond(HTTPResponse(status: 404))
        }
        switch request.head.method {
        case .post:
            await servePost(request, on: connection)
        case .get:
            guard let session = requestSession(of: request, on: connection) else { return }
            await session.pushMessages(on: connection)
        case .delete:
            guard let session = requestSession(of: request, on: connection) else { return }
            sessions[session.id] = nil
            session.endSession()
            connection.respond(HTTPResponse(status: 200))
        default:
            connection.respond(HTTPResponse(status: 405, fields: [("allow", Array("GET, POST, DELETE".utf8))]))
        }
    }

    private func servePost(_ request: HTTPServerRequest, on connection: HTTPServerConnection) async {
        guard let document = try? JSONDocument(request.body), let message = try? Envelope(document) else {
            return refuseRequest(400, "Bad Request: not a JSON-RPC message", on: connection)
        }
        if case .request(let id, let method) = message.kind, document.string(method, equals: "initialize") {
            return serveInitialize(id: document.raw(id), message, on: connection)
        }
        guard let session = requestSession(of: request, on: connection) else { return }
        switch message.kind {
        case .notification:
            session.noteNotification(message)
            connection.respond(HTTPResponse(status: 202))
        case .response, .unclear:
            session.noteAnswer(message)
            connection.respond(HTTPResponse(status: 202))
        case .request(let id, let method):
            let reply = DemoReply(id: Array(document.raw(id)), on: connection, prefersStreams: prefersStreams)
            await session.serveMethod(method, message, reply)
        }
    }

    /// The session that the request names; answers the request itself when there is none.
    private func requestSession(of request: HTTPServerRequest, on connection: HTTPServerConnection) -> DemoSession? {
        guard let id = request.head.fields.first(Header.sessionID) else {
            refuseRequest(400, "Bad Request: Missing session ID", on: connection)
            return nil
        }
        guard let session = sessions[Array(id.bytes)] else {
            refuseRequest(404, "Session not found", on: connection)
            return nil
        }
        return session
    }

    private func serveInitialize(id: ArraySlice<UInt8>, _ message: Envelope, on connection: HTTPServerConnection) {
        if sessions.count >= DemoServer.maxSessions, let any = sessions.first {
            sessions[any.key] = nil
            any.value.endSession()
        }
        let digits = Array("0123456789abcdef".utf8)
        let sessionID = SecureRandom.bytes(16).flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
        let document = message.document
        let capabilities = message.params.flatMap { document.value("capabilities", of: $0) }
        let canElicit = capabilities.flatMap { document.value("elicitation", of: $0) } != nil
        sessions[sessionID] = DemoSession(id: sessionID, canElicit: canElicit, on: loop)
        let reply = DemoReply(
            id: Array(id), on: connection, prefersStreams: prefersStreams,
            fields: [(Header.sessionID, sessionID)])
        reply.finishWithResult(DemoCatalog.initializeResult)
    }

    private func refuseRequest(_ status: Int, _ message: String, on connection: HTTPServerConnection) {
        var body = Array(#"{"jsonrpc":"2.0","id":"server-error","error":{"code":-32600,"message":"#.utf8)
        body.appendJSON(message)
        body.append(contentsOf: "}}".utf8)
        connection.respond(HTTPResponse(status: status, contentType: "application/json"), body: body)
    }
}
