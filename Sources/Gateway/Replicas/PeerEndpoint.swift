import HTTPTransport
import HTTPWire
import Reactor

/// The address of another replica, with connections to it.
struct PeerEndpoint {
    /// A replica in the same network answers within milliseconds, or not at all.
    private static let connectTimeout: Duration = .seconds(1)

    let name: String
    let endpoint: Endpoint
    let loop: Loop
    private let connections: HTTPConnectionPool

    init(name: String, endpoint: Endpoint, on loop: Loop, limits: HTTPLimits) {
        self.name = name
        self.endpoint = endpoint
        self.loop = loop
        connections = HTTPConnectionPool(
            to: endpoint, on: loop, connectTimeout: PeerEndpoint.connectTimeout, limits: limits)
    }

    func connectPeer() async throws(HTTPClientError) -> HTTPClientConnection { try await connections.connect() }
}
