import HTTPTransport
import HTTPWire
import Reactor
import TestSupport

@testable import Gateway

/// The front of a gateway without anything behind it: clients' connections, and requests of them that a test serves.
final class Front {
    let book: RequestBook
    private let loop: Loop
    private let listener: Listener
    private var connections: [HTTPServerConnection] = []
    private let changed = Wakeup()

    init(on loop: Loop, in book: RequestBook) throws {
        guard let any = SocketAddress(host: "127.0.0.1", port: 0) else { preconditionFailure("no address") }
        self.loop = loop
        self.book = book
        listener = try Listener(on: loop, address: any, maxConnections: 10_000, shared: false)
        listener.startAccepting { [unowned self] socket in
            connections.append(
                HTTPServerConnection(
                    socket, on: loop,
                    limits: HTTPServerConnection.Limits(
                        maxBody: 1 << 20, headerTimeout: .seconds(60), bodyTimeout: .seconds(60),
                        idleTimeout: .seconds(60))))
            changed.signal()
        }
    }

    /// A new connection: the client's end, and where its requests are answered.
    func connect() async throws -> (client: Peer, responder: Responder) {
        let count = connections.count
        let client = try await Peer.connect(to: listener.address, on: loop)
        try await eventually("a connection", on: loop, changed) { connections.count > count }
        return (client, Responder(on: connections[count], maxUnsent: 1 << 16))
    }

    /// The next request of a connection; nil when the connection has ended.
    func next(on responder: Responder) async -> ClientRequest? { await nextRequest(on: responder)?.clientRequest }

    /// The same, with what the client has sent.
    func nextRequest(
        on responder: Responder
    ) async -> (source: HTTPServerRequest, clientRequest: ClientRequest)? {
        guard case .request(let source) = await responder.connection.nextArrival() else { return nil }
        return (source, ClientRequest(bytes: source.body.count, by: responder, in: book))
    }

    static let request = "POST /mcp HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}"
}
