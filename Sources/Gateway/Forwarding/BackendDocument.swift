import HTTPTransport
import HTTPWire
import Legacy
import Reactor

/// Fetches a small document from the backend, with a request of Remora's own.
final class BackendDocument: HTTPResponseHandler {
    /// The whole response must be there after this.
    private static let timeout: Duration = .seconds(5)
    /// Bytes of a body. A metadata document has some thousand, a `DiscoverResult` with long instructions more.
    private static let maxBody = 256 * 1024

    private let wakeup = Wakeup()
    private var connection: HTTPClientConnection?
    private var head: HTTPResponseHead?
    private var body: [UInt8] = []
    private var failure: BackendError?
    private var hasEnded = false

    private init() {}

    /// Sends a request that is safe to repeat, and waits for its response.
    static func fetchDocument(
        _ message: HTTPMessage, from backend: Backend
    ) async throws(BackendError) -> (head: HTTPResponseHead, body: [UInt8]) {
        let document = BackendDocument()
        do throws(HTTPClientError) {
            // A new connection: the server may close an idle one just as it is used. Fetches are rare.
            let connection = try await backend.connectServer()
            document.connection = connection
            connection.setTimeout(backend.loop.now + timeout)
            connection.sendRequest(message, answersTo: document)
        } catch {
            throw BackendError(error)
        }
        while !document.hasEnded { await document.wakeup.wait() }
        document.connection?.closeConnection()
        document.connection = nil
        if let failure = document.failure { throw failure }
        guard let head = document.head else { throw BackendError(.outcomeUnknown, "the answer ended before it began") }
        return (head, document.body)
    }

    /// Sends a GET without any field of a client.
    static func getDocument(
        _ target: String, from backend: Backend
    ) async throws(BackendError) -> (head: HTTPResponseHead, body: [UInt8]) {
        let message = HTTPMessage([UInt8](), headSize: 256) { output in
            guard
                var writer = HTTPHeadWriter(
                    method: .get, target: Array(target.utf8), host: backend.host, into: &output)
            else {
                // Paths are constants or of the configuration. A client adds letters, digits and -._~/ only.
                preconditionFailure("a path that was checked has a character that it cannot have")
            }
            writer.field("accept", "application/json")
            for field in backend.fields { _ = writer.field(named: field.name, field.value) }
            writer.field("accept-encoding", "identity")
            writer.endHead(into: &output)
        }
        return try await fetchDocument(message, from: backend)
    }

    // MARK: HTTPResponseHandler

    func receivedHead(_ head: HTTPResponseHead) { self.head = head }

    func receivedBody(_ part: Span<UInt8>) {
        guard body.count + part.count <= BackendDocument.maxBody else {
            connection?.closeConnection()
            return endFetch(BackendError(.outcomeUnknown, "the answer is larger than any such document"))
        }
        body.append(part, 0..<part.count)
    }

    func responseEnded() { endFetch(nil) }

    func responseFailed(_ error: HTTPClientError) { endFetch(BackendError(error)) }

    private func endFetch(_ error: BackendError?) {
        failure = error
        hasEnded = true
        wakeup.signal()
    }
}
