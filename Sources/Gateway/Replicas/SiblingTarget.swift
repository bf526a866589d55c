import HTTPTransport
import HTTPWire
import Reactor

/// Another loop of this process as the target of forwarded requests. Each request has a socket pair of its own.
struct SiblingTarget: ForwardTarget {
    let worker: any Sibling
    let loop: Loop
    let limits: HTTPLimits

    func takeIdle() -> HTTPClientConnection? { nil }

    func connectServer() async throws(HTTPClientError) -> HTTPClientConnection {
        let here: SocketEnd
        do throws(SystemError) {
            let (near, far) = try SocketEnd.makePair()
            here = near
            await worker.adoptConnection(far)
        } catch {
            throw .notConnected(error)
        }
        // Only this function has the near end.
        guard let connection = HTTPClientConnection(here, on: loop, limits: limits) else {
            throw .disconnected(answerBegan: false)
        }
        return connection
    }

    func putBack(_ connection: HTTPClientConnection) { connection.closeConnection() }
}
