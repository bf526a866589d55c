import HTTPTransport
import HTTPWire
import Reactor

/// A request to another replica of whose response only the status is used.
final class PeerStatusRequest: HTTPResponseHandler {
    /// The whole response must be there after this. A replica that takes longer is overloaded or stopped.
    static let timeout: Duration = .seconds(2)

    private let wakeup = Wakeup()
    private var isOver = false
    private var status: Int?

    /// Sends a request on an idle connection.
    ///
    /// - Returns: the status of the response; `nil` if no whole response came within ``timeout``.
    static func sendRequest(_ message: HTTPMessage, on connection: HTTPClientConnection, _ loop: Loop) async -> Int? {
        let request = PeerStatusRequest()
        connection.setTimeout(loop.now + timeout)
        connection.sendRequest(message, answersTo: request)
        while !request.isOver { await request.wakeup.wait() }
        return request.status
    }

    func receivedHead(_ head: HTTPResponseHead) { status = head.status }

    func receivedBody(_ body: Span<UInt8>) {}

    func responseEnded() { endRequest() }

    func responseFailed(_ error: HTTPClientError) {
        status = nil
        endRequest()
    }

    private func endRequest() {
        isOver = true
        wakeup.signal()
    }
}
