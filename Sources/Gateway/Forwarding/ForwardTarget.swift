import HTTPTransport
import Legacy
import Reactor

/// What a request is forwarded to: a backend, another replica or another loop.
protocol ForwardTarget {
    var loop: Loop { get }
    /// An idle connection of an earlier request.
    func takeIdle() -> HTTPClientConnection?
    func connectServer() async throws(HTTPClientError) -> HTTPClientConnection
    /// Takes back a connection whose response has ended.
    func putBack(_ connection: HTTPClientConnection)
}

extension Backend: ForwardTarget {
    func takeIdle() -> HTTPClientConnection? { connections.takeIdle() }

    func putBack(_ connection: HTTPClientConnection) { connections.putBack(connection) }
}
