import HTTPTransport
import HTTPWire
import Legacy
import MCP
import Reactor

/// A request that is forwarded unchanged, and its response, which is relayed as it arrives: status, body and end-to-end
/// fields are those of the target.
///
/// It has a connection to the target of its own, and is never sent twice. Bytes that the client has not taken are held
/// up to a limit; beyond the limit the target has to wait.
final class ForwardedRequest: HTTPResponseHandler {
    /// Bytes that may wait for a client: as many as a fast network has under way, and few for each of many slow
    /// clients.
    private static let maxUnsent = 256 * 1024

    struct Timeouts {
        /// From the request to the end of its response, and the longest silence of an event stream.
        let total: Duration
        /// The longest silence of the target before its response, and in a response that is no event stream.
        let silence: Duration
    }

    enum Completion {
        /// The whole response was relayed.
        case answered
        /// There is no response. Nothing was sent to the client.
        case failed(BackendError)
        /// The response was cut, and the connection to the client was closed, or its event stream was ended.
        case cut(BackendError)
        /// The client has left.
        case abandoned
    }

    /// What the body of the response is.
    private enum Content {
        /// Anything but a stream of events.
        case document
        case betweenEvents
        case insideEvent
    }

    private let request: HTTPServerRequest
    private let target: any ForwardTarget
    private let client: HTTPServerConnection
    private let timeouts: Timeouts
    private let address: PublicAddress?
    private let end: Instant
    private let wakeup = Wakeup()
    private var connection: HTTPClientConnection?
    private var content = Content.document
    private var isPaused = false
    private var isDraining = false
    private var outcome: Completion?
    /// Bytes of the body that arrived in this turn of the loop. They are sent together.
    private var unsent: [UInt8] = []

    /// Whether a response means that the target does not serve the request. It is not relayed then.
    var isRefused: (HTTPResponseHead) -> Bool = { _ in false }
    /// The last event of a stream that was cut between two events. `nil`: the connection to the client is closed.
    var lastEvent: (BackendError) -> [UInt8]? = { _ in nil }

    /// The status of the response; `nil` until it begins.
    private(set) var status: Int?
    /// Bytes of the response's body so far.
    private(set) var responseBytes = 0

    /// The values of `WWW-Authenticate`, as the backend sent them; empty without a public address.
    private(set) var challenges: [[UInt8]] = []

    /// Called when the response begins.
    var onResponseHead: ((HTTPResponseHead) -> Void)?

    /// - Parameter address: rewrites the URLs in the backend's challenges. `nil`: Remora's own URL is not known.
    init(
        _ request: HTTPServerRequest, to target: any ForwardTarget, answering client: HTTPServerConnection,
        address: PublicAddress? = nil, timeouts: Timeouts
    ) {
        self.request = request
        self.target = target
        self.client = client
        self.address = address
        self.timeouts = timeouts
        end = target.loop.now + timeouts.total
    }

    /// Sends the request as `message`, and relays the response to the client.
    func relayResponse(_ message: HTTPMessage) async -> Completion {
        client.onDisconnect = { self.finishRelay(.abandoned) }
        if outcome == nil {
            do throws(HTTPClientError) {
                try await sendMessage(message)
            } catch {
                finishRelay(.failed(BackendError(error)))
            }
        }
        while true {
            if let outcome { return outcome }
            await wakeup.wait()
        }
    }

    private var isStream: Bool { content != .document }

    private func sendMessage(_ message: HTTPMessage) async throws(HTTPClientError) {
        client.onTaken = { self.resumeReading() }
        while let idle = target.takeIdle() {
            if sendMessage(message, on: idle) { return }
        }
        let connection = try await target.connectServer()
        // The client may have left meanwhile.
        guard outcome == nil else { return target.putBack(connection) }
        self.connection = connection
        restartTimeout()
        connection.sendRequest(message, answersTo: self)
    }

    /// - Returns: `false` if no byte was sent.
    private func sendMessage(_ message: HTTPMessage, on connection: HTTPClientConnection) -> Bool {
        self.connection = connection
        restartTimeout()
        if connection.trySend(message, answersTo: self) { return true }
        self.connection = nil
        return false
    }

    /// The request for the backend, with the backend's target and host (2025-11-25, basic/transports, "Security
    /// Warning": servers refuse other hosts). `Origin` was checked already and is dropped: the server does not know the
    /// page.
    ///
    /// - Parameters:
    ///   - set: fields that replace the client's, by name in lower case.
    ///   - origin: the same, about the source of the request.
    static func backendMessage(
        _ request: HTTPServerRequest, target: [UInt8], host: [UInt8], set: [(name: [UInt8], value: [UInt8])] = [],
        origin: [(name: StaticString, value: [UInt8])] = []
    ) -> HTTPMessage {
        let head = request.head
        let replaced = set.map(\.name) + origin.map { Array("\($0.name)".utf8) }
        let fields = EndToEndFields.forwardedFields(head.fields) { name in
            name.equalsIgnoringCase("host") || name.equalsIgnoringCase("origin") || name.equalsIgnoringCase("expect")
                || !replaced.isEmpty && replaced.contains(cgiName(of: name))
        }
        return HTTPMessage(request.body, headSize: 512) { output in
            guard var writer = HTTPHeadWriter(method: head.method, target: target, host: host, into: &output) else {
                // The decoder refuses control characters in a query, and methods without a name are refused.
                preconditionFailure("a target or a host that was checked has a character that it cannot have")
            }
            for field in fields { writer.field(field.name, field.value) }
            for field in set { _ = writer.field(named: field.name, field.value) }
            for line in origin { _ = writer.field(line.name, line.value) }
            if head.bodyLength != .none || head.method == .post { writer.field("content-length", request.body.count) }
            writer.endHead(into: &output)
        }
    }

    /// A field name in lower case with `-` for `_`: servers with CGI variables do not distinguish them (RFC 3875
    /// §4.1.18).
    private static func cgiName(of name: HTTPFieldValue) -> [UInt8] {
        name.bytes.map { $0 == UInt8(ascii: "_") ? UInt8(ascii: "-") : $0.lowercasedASCII }
    }

    private func finishRelay(_ outcome: Completion) {
        guard self.outcome == nil else { return }
        flushBody()
        self.outcome = outcome
        switch outcome {
        case .answered: break
        case .failed, .abandoned: connection?.closeConnection()
        case .cut(let error):
            connection?.closeConnection()
            if content == .betweenEvents, let event = lastEvent(error) {
                client.sendPart([event[...]])
                client.endStream()
            } else {
                // The only sign by which the client can detect a cut response (RFC 9112 §8).
                client.close()
            }
        }
        connection = nil
        client.onDisconnect = nil
        client.onTaken = nil
        wakeup.signal()
    }

    /// Ends a stream that waits for events, and would not end by itself. The client opens another.
    func drainStream() {
        isDraining = true
        guard isStream, waitsForEvents, outcome == nil else { return }
        flushBody()
        connection?.closeConnection()
        client.endStream()
        finishRelay(.answered)
    }

    /// Whether the request is for a GET stream (2025-11-25, basic/transports) or a subscription (2026-07-28,
    /// basic/patterns/subscriptions).
    private var waitsForEvents: Bool {
        request.head.method == .get
            || request.head.fields.first(Header.method).map { "\(Method.listen.name)" == $0.string } == true
    }

    // MARK: Time

    private func restartTimeout() {
        guard let connection else { return }
        if isPaused {
            // The client's connection has its own timeout for slow clients.
            connection.setTimeout(nil)
        } else if isStream {
            connection.setTimeout(target.loop.now + timeouts.total)
        } else {
            connection.setTimeout(min(end, target.loop.now + timeouts.silence))
        }
    }

    private var timeoutError: BackendError {
        if isStream { return BackendError(.overdue, "the stream was silent for limits.request_timeout") }
        if end <= .now { return BackendError(.overdue, "the call took longer than limits.request_timeout") }
        return BackendError(.silent, "the server sent nothing for limits.backend_idle_timeout")
    }

    private func resumeReading() {
        guard isPaused else { return }
        isPaused = false
        restartTimeout()
        connection?.resumeReading()
    }

    // MARK: HTTPResponseHandler

    func receivedHead(_ head: HTTPResponseHead) {
        if isRefused(head) {
            return finishRelay(.failed(BackendError(.unavailable, "the other side has nothing to do with the request")))
        }
        status = head.status
        onResponseHead?(head)
        let isStream = head.fields.first("content-type")?.isMediaType("text/event-stream") == true
        content = isStream ? .betweenEvents : .document
        var response = HTTPResponse(status: head.status)
        // Remora decides which pages may read a response: the backend received no `Origin`.
        response.relayed = EndToEndFields.forwardedFields(head.fields) { name in
            name.startsIgnoringCase(with: ForwardedRequest.accessControl)
                || address != nil && name.equalsIgnoringCase(ForwardedRequest.challenge)
        }
        if let address {
            challenges = head.fields.lines(named: ForwardedRequest.challenge).map { Array($0.value.bytes) }
            response.fields = challenges.map { ("www-authenticate", address.rewriteChallenge($0)) }
        }
        client.beginStream(response, length: head.bodyLength)
        restartTimeout()
        if isDraining { drainStream() }
    }

    func receivedBody(_ body: Span<UInt8>) {
        if unsent.isEmpty {
            target.loop.afterwards(self)
            // Once for all that comes at once: a server may send each byte as a chunk.
            restartTimeout()
        }
        unsent.append(body, 0..<body.count)
        responseBytes += body.count
        guard unsent.count > ForwardedRequest.maxUnsent - client.unsentBytes, !isPaused else { return }
        isPaused = true
        connection?.pauseReading()
        restartTimeout()
    }

    private func flushBody() {
        guard !unsent.isEmpty else { return }
        var part: [UInt8] = []
        swap(&part, &unsent)
        if isStream {
            // An empty line ends an event.
            let endsEvent = part.count > 1 && part.suffix(2).allSatisfy { $0 == UInt8(ascii: "\n") }
            content = endsEvent ? .betweenEvents : .insideEvent
        }
        client.sendPart([part[...]])
    }

    func responseEnded() {
        flushBody()
        client.endStream()
        if let connection {
            // A paused connection does not notice its end.
            if isPaused { connection.closeConnection() } else { target.putBack(connection) }
        }
        connection = nil
        finishRelay(.answered)
    }

    func responseFailed(_ error: HTTPClientError) {
        let error = if case .timedOut = error { timeoutError } else { BackendError(error) }
        finishRelay(status == nil ? .failed(error) : .cut(error))
    }

    private static let challenge = Array("www-authenticate".utf8)
    private static let accessControl = Array("access-control-".utf8)
}

extension ForwardedRequest: Resumable {
    func resumeWork() {
        guard outcome == nil else { return }
        flushBody()
        if client.unsentBytes <= ForwardedRequest.maxUnsent { resumeReading() }
    }
}
