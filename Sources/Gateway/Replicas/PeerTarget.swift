import HTTPTransport
import HTTPWire
import Reactor

/// Another replica as the target of one retry.
///
/// A probe without effect is sent first. It shows that the replica responds and accepts tokens of this one. The retry
/// is sent after the response to the probe, on the same connection: a failure before that response means that nothing
/// was delivered.
final class PeerTarget: ForwardTarget {
    /// Why a replica that was reached did not get the retry.
    enum ProbeFailure: Equatable {
        /// It refused the probe with this status.
        case refused(Int)
        /// It gave no usable response to the probe.
        case silent
    }

    private let peer: PeerEndpoint
    private let token: PeerToken
    /// `nil`: the retry was sent, or no connection was made.
    private(set) var failure: ProbeFailure?

    init(to peer: PeerEndpoint, _ token: PeerToken) {
        self.peer = peer
        self.token = token
    }

    var loop: Loop { peer.loop }

    /// Always `nil`. On a connection that the replica has closed meanwhile, the delivery of a retry would be uncertain.
    func takeIdle() -> HTTPClientConnection? { nil }

    func connectServer() async throws(HTTPClientError) -> HTTPClientConnection {
        let connection = try await peer.connectPeer()
        // An empty batch of change notices is the probe.
        let probe = PeerMessage.changeNotices(ChangeNoticeBatch.batchText([]), to: (peer.name, token))
        let status = await PeerStatusRequest.sendRequest(probe, on: connection, loop)
        if status == 204, connection.isReusable { return connection }
        connection.closeConnection()
        failure = status.flatMap { (400..<500).contains($0) ? .refused($0) : nil } ?? .silent
        throw .notConnected(SystemError("replica", code: SystemError.timedOut))
    }

    func putBack(_ connection: HTTPClientConnection) { connection.closeConnection() }
}
