import HTTPTransport
import HTTPWire

/// The way of one session's requests to its server: the copy that has the session, and what a balancer before that goes by.
final class SessionRoute {
    let backend: Backend
    /// Path and query of the MCP endpoint: the configured one, or where the server has redirected to when the session was opened.
    var target: [UInt8]
    /// What answers of the session have set, for its requests.
    private(set) var cookies: CookieJar
    /// The one connection that all of them use; nil where any will do.
    let pin: PinnedConnection?

    let passedOver: PassedOver
    /// Of no other route to the server, for what is known of a connection.
    let number: Int

    private static let setCookie = Array("set-cookie".utf8)

    /// - Parameters:
    ///   - target: nil for the configured one.
    ///   - cookies: ``CookieJar/field`` of the session at another process.
    init(to backend: Backend, at target: [UInt8]? = nil, cookies field: [UInt8] = []) {
        self.backend = backend
        number = backend.nextRouteNumber()
        passedOver = PassedOver(of: backend)
        self.target = target ?? backend.target
        cookies = CookieJar(field: field)
        pin = backend.pinsConnections ? PinnedConnection(on: backend.loop) : nil
    }

    /// Takes note of an answer.
    func noteResponse(_ head: HTTPResponseHead) {
        guard head.fields.first("set-cookie") != nil else { return }
        for line in head.fields.lines(named: SessionRoute.setCookie) { cookies.storeCookie(Array(line.value.bytes)) }
    }

    // MARK: Connections

    /// A connection that is ready for a request, if there is one. To be given back by ``putBack(_:)`` or ``connectionLost()``.
    func takeIdle() -> HTTPClientConnection? {
        guard let pin else { return backend.connections.takeIdle() }
        return pin.takeIdle()
    }

    /// A connection that is ready for a request.
    func connectionForRequest() async throws(BackendError) -> HTTPClientConnection {
        let made: HTTPClientConnection?
        do throws(HTTPClientError) {
            guard let pin else { return try await backend.connectServer() }
            made = try await pin.takeTurn { [backend] () async throws(HTTPClientError) in
                try await backend.connectServer()
            }
        } catch {
            throw BackendError(error)
        }
        guard let made else {
            throw BackendError(
                .sessionLost,
                "the connection of the session has ended (backends[].pin_connection): does the server keep it open?")
        }
        return made
    }

    /// The answer on it has ended.
    func putBack(_ connection: HTTPClientConnection) {
        if let pin { pin.giveBackConnection(connection) } else { backend.connections.putBack(connection) }
    }

    /// A connection that was taken is of no use any more.
    func connectionLost() { pin?.loseConnection() }
}
