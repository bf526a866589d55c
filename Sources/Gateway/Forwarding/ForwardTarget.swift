import HTTPTransport
import Legacy
import Reactor

/// Where a request is passed on to.
protocol ForwardTarget {
    var loop: Loop { get }
    /// A connection from an earlier request, if there is one.
    func takeIdle() -> HTTPClientConnection?
    func connect() async throws(HTTPClientError) -> HTTPClientConnection
    /// Takes a connection back whose answer has ended.
    func putBack(_ connection: HTTPClientConnection)
}

extension Backend: ForwardTarget {
    func takeIdle() -> HTTPClientConnection? { connections.takeIdle() }

    func putBack(_ connection: HTTPClientConnection) { connections.putBack(connection) }
}
