import HTTPTransport
import HTTPWire
import Reactor

/// Another replica, as a place to pass requests on to.
struct PeerDestination: PassDestination {
    /// A replica in the same network answers in a millisecond, or not at all.
    private static let connectTimeout: Duration = .seconds(1)

    let name: String
    let loop: Loop
    private let connections: HTTPConnectionPool

    init(name: String, endpoint: Endpoint, on loop: Loop, limits: HTTPLimits) {
        self.name = name
        self.loop = loop
        connections = HTTPConnectionPool(
            to: endpoint, on: loop, connectTimeout: PeerDestination.connectTimeout, limits: limits)
    }

    /// None is used twice: one that the other closed meanwhile would leave it open whether a retry was delivered.
    func takeIdle() -> HTTPClientConnection? { nil }

    func connect() async throws(HTTPClientError) -> HTTPClientConnection { try await connections.connect() }

    func putBack(_ connection: HTTPClientConnection) { connection.close() }
}

/// Another loop of this process, as a place to pass requests on to: it gets one end of a connection made for the purpose.
struct SiblingDestination: PassDestination {
    let shard: Shard
    let loop: Loop
    let limits: HTTPLimits

    func takeIdle() -> HTTPClientConnection? { nil }

    func connect() async throws(HTTPClientError) -> HTTPClientConnection {
        let here: SocketEnd
        do throws(SystemError) {
            let (near, far) = try SocketEnd.pair()
            here = near
            await shard.adopt(far)
        } catch {
            throw .notConnected(error)
        }
        guard let connection = HTTPClientConnection(here, on: loop, limits: limits) else {
            preconditionFailure("the end of a new connection was taken")
        }
        return connection
    }

    func putBack(_ connection: HTTPClientConnection) { connection.close() }
}
