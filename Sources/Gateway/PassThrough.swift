import HTTPTransport
import HTTPWire
import Legacy
import Reactor

/// A request that goes to the backend as it came, and its answer, which comes back as it comes: method, query, body and
/// end-to-end fields are the client's, status, body and end-to-end fields the backend's.
///
/// It has a connection to the backend to itself while it lasts, and is never sent twice. What the client does not take is
/// held up to a bound; beyond it the backend waits.
final class PassThrough: HTTPResponseHandler {
    /// Bytes that may wait for a client: what a fast network has under way, and little for each of many slow clients.
    private static let maxUnsent = 256 * 1024

    struct Limits {
        /// From the request's arrival to the end of its answer, and the longest silence of an event stream.
        let total: Duration
        /// How long the backend may be silent until the answer begins, and in an answer that is no event stream.
        let silence: Duration
    }

    enum Outcome {
        /// The answer is there, to its end.
        case answered
        /// There is no answer, and nothing of one was sent.
        case failed(BackendError)
        /// The answer broke off, and so did the connection to the client.
        case cut(BackendError)
        /// The client went away.
        case abandoned
    }

    private let request: HTTPServerRequest
    private let backend: Backend
    private let client: HTTPServerConnection
    private let limits: Limits
    private let address: PublicAddress?
    private let end: Instant
    private let wakeup = Wakeup()
    private var connection: HTTPClientConnection?
    private var isStream = false
    private var isPaused = false
    private var isDraining = false
    private var outcome: Outcome?

    /// The status of the answer; nil until it begins.
    private(set) var status: Int?
    /// Bytes of the answer's body so far.
    private(set) var responseBytes = 0

    /// - Parameter address: makes the URLs in the backend's challenges public; nil where Remora's own is not known.
    init(
        _ request: HTTPServerRequest, to backend: Backend, answering client: HTTPServerConnection,
        address: PublicAddress?, limits: Limits
    ) {
        self.request = request
        self.backend = backend
        self.client = client
        self.address = address
        self.limits = limits
        end = backend.loop.now + limits.total
    }

    /// Sends the request to `target`, and the answer to the client.
    func run(target: [UInt8]) async -> Outcome {
        client.onDisconnect = { self.finish(.abandoned) }
        if outcome == nil {
            do throws(HTTPClientError) {
                try await send(target)
            } catch {
                finish(.failed(BackendError(error)))
            }
        }
        while true {
            if let outcome { return outcome }
            await wakeup.wait()
        }
    }

    private func send(_ target: [UInt8]) async throws(HTTPClientError) {
        let message = PassThrough.message(request, target: target, host: backend.host)
        let connection: HTTPClientConnection
        if let idle = backend.connections.takeIdle() {
            connection = idle
        } else {
            connection = try await backend.connect()
        }
        // The client may have gone meanwhile.
        guard outcome == nil else { return backend.connections.putBack(connection) }
        self.connection = connection
        client.onTaken = { self.resume() }
        client.onDrain = { self.drain() }
        expectMore()
        connection.send(message, answersTo: self)
    }

    /// The request with the backend's own target and host (2025-11-25, basic/transports, "Security Warning": servers
    /// refuse foreign ones). `Origin` is checked already, and means nothing to a server that does not know the page.
    static func message(_ request: HTTPServerRequest, target: [UInt8], host: [UInt8]) -> HTTPMessage {
        let head = request.head
        let fields = EndToEndFields.of(head.fields) { name in
            name.equalsIgnoringCase("host") || name.equalsIgnoringCase("origin") || name.equalsIgnoringCase("expect")
        }
        return HTTPMessage(request.body, headSize: 512) { output in
            guard var writer = HTTPHeadWriter(method: head.method, target: target, host: host, into: &output) else {
                preconditionFailure("a target or a host that was checked has a character that it cannot have")
            }
            for field in fields { writer.field(field.name, field.value) }
            if head.bodyLength != .none || head.method == .post { writer.field("content-length", request.body.count) }
            writer.end(into: &output)
        }
    }

    private func finish(_ outcome: Outcome) {
        guard self.outcome == nil else { return }
        self.outcome = outcome
        switch outcome {
        case .answered: break
        case .failed, .abandoned: connection?.close()
        case .cut:
            connection?.close()
            // The client can tell a cut answer from a whole one by this alone (RFC 9112 §8).
            client.close()
        }
        connection = nil
        client.onDisconnect = nil
        client.onTaken = nil
        client.onDrain = nil
        wakeup.signal()
    }

    /// Remora is to stop. A stream that waits for events would not end by itself; the client opens it again elsewhere.
    private func drain() {
        isDraining = true
        guard isStream, request.head.method == .get else { return }
        connection?.close()
        client.endStream()
        finish(.answered)
    }

    // MARK: Time

    private func expectMore() {
        guard let connection else { return }
        if isPaused {
            // Whether the client is too slow is the client connection's to say.
            connection.setTimeout(nil)
        } else if isStream {
            connection.setTimeout(backend.loop.now + limits.total)
        } else {
            connection.setTimeout(min(end, backend.loop.now + limits.silence))
        }
    }

    private var timeoutError: BackendError {
        if isStream { return BackendError(.overdue, "the stream was silent for limits.request_timeout") }
        if end <= .now { return BackendError(.overdue, "the call took longer than limits.request_timeout") }
        return BackendError(.silent, "the server sent nothing for limits.backend_idle_timeout")
    }

    private func resume() {
        guard isPaused else { return }
        isPaused = false
        expectMore()
        connection?.resumeReading()
    }

    // MARK: HTTPResponseHandler

    func received(_ head: HTTPResponseHead) {
        status = head.status
        isStream = head.fields.first("content-type")?.isMediaType("text/event-stream") == true
        var response = HTTPResponse(status: head.status)
        // Which pages may read an answer is decided at Remora's door: the backend saw no `Origin`.
        response.relayed = EndToEndFields.of(head.fields) { name in
            name.startsIgnoringCase(with: PassThrough.accessControl)
                || address != nil && name.equalsIgnoringCase(PassThrough.challenge)
        }
        if let address {
            response.fields = head.fields.lines(named: PassThrough.challenge).map {
                ("www-authenticate", address.published(challenge: Array($0.value.bytes)))
            }
        }
        client.beginStream(response, length: head.bodyLength)
        expectMore()
        if isDraining { drain() }
    }

    func received(body: Span<UInt8>) {
        var part: [UInt8] = []
        part.append(body, 0..<body.count)
        responseBytes += part.count
        client.send([part[...]])
        if client.unsentBytes > PassThrough.maxUnsent, !isPaused {
            isPaused = true
            connection?.pauseReading()
        }
        expectMore()
    }

    func finished() {
        client.endStream()
        if let connection {
            // One that does not read would not notice its end.
            if isPaused { connection.close() } else { backend.connections.putBack(connection) }
        }
        connection = nil
        finish(.answered)
    }

    func failed(_ error: HTTPClientError) {
        let error = if case .timedOut = error { timeoutError } else { BackendError(error) }
        finish(status == nil ? .failed(error) : .cut(error))
    }

    private static let challenge = Array("www-authenticate".utf8)
    private static let accessControl = Array("access-control-".utf8)
}
