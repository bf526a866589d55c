import HTTPTransport
import Reactor
import TestSupport

@testable import Gateway

/// A target of forwarded requests whose far ends the test holds.
final class ScriptedTarget: ForwardTarget {
    let loop: Loop
    /// The far ends of the connections that were made.
    private(set) var peers: [Peer] = []
    /// The connections that came back, the last one first to be used.
    private(set) var idle: [HTTPClientConnection] = []
    /// How often one came back.
    private(set) var returned = 0
    /// Why no connection is made; nil where one is.
    var failure: HTTPClientError?
    /// Whether to connect takes until ``admit()``.
    var isSlow = false
    private let connected = Wakeup()
    private let admitted = Wakeup()

    init(on loop: Loop) { self.loop = loop }

    func takeIdle() -> HTTPClientConnection? {
        while let connection = idle.popLast() { if connection.isReusable { return connection } }
        return nil
    }

    func connectServer() async throws(HTTPClientError) -> HTTPClientConnection {
        if let failure { throw failure }
        while isSlow { await admitted.wait() }
        let ends: (SocketEnd, SocketEnd)
        do throws(SystemError) {
            ends = try SocketEnd.makePair()
        } catch {
            throw .notConnected(error)
        }
        guard let connection = HTTPClientConnection(ends.0, on: loop), let far = ends.1.takeSocket(on: loop) else {
            throw .disconnected(answerBegan: false)
        }
        peers.append(Peer(far, on: loop))
        connected.signal()
        return connection
    }

    func putBack(_ connection: HTTPClientConnection) {
        returned += 1
        idle.append(connection)
    }

    /// Has those who connect go on.
    func admit() {
        isSlow = false
        admitted.signal()
    }

    /// The far end of a connection, as soon as it is made.
    func peer(_ number: Int = 0) async throws -> Peer {
        try await eventually("connection \(number)", on: loop, connected) { peers.count > number }
        return peers[number]
    }
}
