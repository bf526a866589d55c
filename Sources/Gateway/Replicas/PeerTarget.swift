import HTTPTransport
import HTTPWire
import Reactor

/// Another replica, as it is reached.
struct PeerEndpoint {
    /// A replica in the same network answers in a millisecond, or not at all.
    private static let connectTimeout: Duration = .seconds(1)

    let name: String
    let loop: Loop
    private let connections: HTTPConnectionPool

    init(name: String, endpoint: Endpoint, on loop: Loop, limits: HTTPLimits) {
        self.name = name
        self.loop = loop
        connections = HTTPConnectionPool(
            to: endpoint, on: loop, connectTimeout: PeerEndpoint.connectTimeout, limits: limits)
    }

    func connect() async throws(HTTPClientError) -> HTTPClientConnection { try await connections.connect() }
}

/// Another replica, as a place to pass one request on to.
///
/// It is first asked something that changes nothing: whether it is there and takes what comes from here. As long as it has not
/// said so, nothing was delivered.
final class PeerTarget: ForwardTarget {
    private let peer: PeerEndpoint
    private let token: PeerToken
    /// Why the request was not sent, though the other was reached; nil where it was sent, or the other not reached.
    private(set) var failure: Failure?

    enum Failure: Equatable {
        /// It does not take what comes from here: the status of its answer.
        case refused(Int)
        /// It was reached, and gave no answer that can be one.
        case silent
    }

    init(to peer: PeerEndpoint, _ token: PeerToken) {
        self.peer = peer
        self.token = token
    }

    var loop: Loop { peer.loop }

    /// None is used twice: one that the other closed meanwhile would leave it open whether a retry was delivered.
    func takeIdle() -> HTTPClientConnection? { nil }

    func connect() async throws(HTTPClientError) -> HTTPClientConnection {
        let connection = try await peer.connect()
        // No cues: there is nothing to hear.
        let question = PeerMessage.changeNotices(ChangeNoticeBatch.text([]), to: (peer.name, token))
        let status = await PeerStatusRequest.send(question, on: connection, loop)
        if status == 204, connection.isReusable { return connection }
        connection.close()
        failure = status.flatMap { (400..<500).contains($0) ? .refused($0) : nil } ?? .silent
        throw .notConnected(SystemError("replica", code: SystemError.timedOut))
    }

    func putBack(_ connection: HTTPClientConnection) { connection.close() }
}

/// Another loop of this process, as this one reaches it.
protocol Sibling: Sendable {
    /// Takes one end of a connection, on which requests come.
    func adopt(_ end: SocketEnd) async
    /// Servers told this to another loop or replica.
    func receiveNotices(_ notices: [PeerChangeNotice]) async
}

/// Another loop of this process, as a place to pass requests on to: it gets one end of a connection made for the purpose.
struct SiblingTarget: ForwardTarget {
    let shard: any Sibling
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
        // Nobody but this function has the end.
        guard let connection = HTTPClientConnection(here, on: loop, limits: limits) else {
            throw .disconnected(answerBegan: false)
        }
        return connection
    }

    func putBack(_ connection: HTTPClientConnection) { connection.close() }
}
