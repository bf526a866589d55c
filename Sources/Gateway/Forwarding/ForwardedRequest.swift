import HTTPTransport
import HTTPWire
import Legacy
import MCP
import Reactor

/// A request that goes elsewhere as it came, to the backend or to whoever has its call, and its answer, which comes back as
/// it comes: status, body and end-to-end fields are those of the other side.
///
/// It has a connection there to itself while it lasts, and is never sent twice. What the client does not take is held up to
/// a bound; beyond it the other side waits.
final class ForwardedRequest: HTTPResponseHandler {
    /// Bytes that may wait for a client: what a fast network has under way, and little for each of many slow clients.
    private static let maxUnsent = 256 * 1024

    struct Timeouts {
        /// From the request's arrival to the end of its answer, and the longest silence of an event stream.
        let total: Duration
        /// How long the other side may be silent until the answer begins, and in an answer that is no event stream.
        let silence: Duration
    }

    enum Completion {
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
    private let target: any ForwardTarget
    private let client: HTTPServerConnection
    private let timeouts: Timeouts
    private let address: PublicAddress?
    private let end: Instant
    private let wakeup = Wakeup()
    private var connection: HTTPClientConnection?
    private var isStream = false
    private var isPaused = false
    private var isDraining = false
    private var outcome: Completion?
    /// What came of the body and was not handed on yet: what comes at once goes out at once, in however many pieces it came.
    private var unsent: [UInt8] = []

    /// Whether an answer is none, but says that the other side has nothing to do with the request.
    var isRefused: (HTTPResponseHead) -> Bool = { _ in false }
    /// What ends an event stream that breaks off between two events; nil where the client's connection is closed instead.
    var lastEvent: (BackendError) -> [UInt8]? = { _ in nil }
    private var isBetweenEvents = true

    /// The status of the answer; nil until it begins.
    private(set) var status: Int?
    /// Bytes of the answer's body so far.
    private(set) var responseBytes = 0

    /// What the answer says in `WWW-Authenticate`, as the backend wrote it; only where its URLs are made public.
    private(set) var challenges: [[UInt8]] = []

    /// Called when the answer begins.
    var onResponseHead: ((HTTPResponseHead) -> Void)?

    /// - Parameter address: makes the URLs in the backend's challenges public; nil where Remora's own is not known.
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

    /// Sends the request, in the words of `message`, and the answer to the client.
    func run(_ message: HTTPMessage) async -> Completion {
        client.onDisconnect = { self.finish(.abandoned) }
        if outcome == nil {
            do throws(HTTPClientError) {
                try await sendMessage(message)
            } catch {
                finish(.failed(BackendError(error)))
            }
        }
        while true {
            if let outcome { return outcome }
            await wakeup.wait()
        }
    }

    private func sendMessage(_ message: HTTPMessage) async throws(HTTPClientError) {
        client.onTaken = { self.resumeReading() }
        while let idle = target.takeIdle() {
            if sendMessage(message, on: idle) { return }
        }
        let connection = try await target.connect()
        // The client may have gone meanwhile.
        guard outcome == nil else { return target.putBack(connection) }
        self.connection = connection
        restartTimeout()
        connection.send(message, answersTo: self)
    }

    /// Returns false where nothing of it left.
    private func sendMessage(_ message: HTTPMessage, on connection: HTTPClientConnection) -> Bool {
        self.connection = connection
        restartTimeout()
        if connection.trySend(message, answersTo: self) { return true }
        self.connection = nil
        return false
    }

    /// The request for the backend, with its own target and host (2025-11-25, basic/transports, "Security Warning": servers
    /// refuse foreign ones). `Origin` is checked already, and means nothing to a server that does not know the page.
    ///
    /// - Parameters:
    ///   - set: lines that are in the place of the client's own, by name in lower case.
    ///   - origin: the same, of where the request came from.
    static func backendMessage(
        _ request: HTTPServerRequest, target: [UInt8], host: [UInt8], set: [(name: [UInt8], value: [UInt8])] = [],
        origin: [(name: StaticString, value: [UInt8])] = []
    ) -> HTTPMessage {
        let head = request.head
        let replaced = set.map(\.name) + origin.map { Array("\($0.name)".utf8) }
        let fields = EndToEndFields.of(head.fields) { name in
            name.equalsIgnoringCase("host") || name.equalsIgnoringCase("origin") || name.equalsIgnoringCase("expect")
                || !replaced.isEmpty && replaced.contains(cgiName(of: name))
        }
        return HTTPMessage(request.body, headSize: 512) { output in
            guard var writer = HTTPHeadWriter(method: head.method, target: target, host: host, into: &output) else {
                // The decoder of the request has let no other character into a query, and methods without a name are refused.
                preconditionFailure("a target or a host that was checked has a character that it cannot have")
            }
            for field in fields { writer.field(field.name, field.value) }
            for field in set { _ = writer.field(named: field.name, field.value) }
            for line in origin { _ = writer.field(line.name, line.value) }
            if head.bodyLength != .none || head.method == .post { writer.field("content-length", request.body.count) }
            writer.end(into: &output)
        }
    }

    /// A name as servers of the CGI kind have it, to which `_` and `-` are one (RFC 3875 §4.1.18): in lower case, with `-`.
    private static func cgiName(of name: HTTPFieldValue) -> [UInt8] {
        name.bytes.map { $0 == UInt8(ascii: "_") ? UInt8(ascii: "-") : $0.lowercasedASCII }
    }

    private func finish(_ outcome: Completion) {
        guard self.outcome == nil else { return }
        flushBody()
        self.outcome = outcome
        switch outcome {
        case .answered: break
        case .failed, .abandoned: connection?.close()
        case .cut(let error):
            connection?.close()
            if isStream, isBetweenEvents, let event = lastEvent(error) {
                client.send([event[...]])
                client.endStream()
            } else {
                // The client can tell a cut answer from a whole one by this alone (RFC 9112 §8).
                client.close()
            }
        }
        connection = nil
        client.onDisconnect = nil
        client.onTaken = nil
        wakeup.signal()
    }

    /// What it belongs to is to end. A stream that waits for events would not do so by itself; the client opens another.
    func drain() {
        isDraining = true
        guard isStream, waitsForEvents, outcome == nil else { return }
        flushBody()
        connection?.close()
        client.endStream()
        finish(.answered)
    }

    /// Whether it is a GET stream (2025-11-25, basic/transports) or a subscription (2026-07-28, basic/patterns/subscriptions).
    private var waitsForEvents: Bool {
        request.head.method == .get
            || request.head.fields.first(Header.method).map { "\(Method.listen.name)" == $0.string } == true
    }

    // MARK: Time

    private func restartTimeout() {
        guard let connection else { return }
        if isPaused {
            // Whether the client is too slow is the client connection's to say.
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

    func received(_ head: HTTPResponseHead) {
        if isRefused(head) {
            return finish(.failed(BackendError(.unavailable, "the other side has nothing to do with the request")))
        }
        status = head.status
        onResponseHead?(head)
        isStream = head.fields.first("content-type")?.isMediaType("text/event-stream") == true
        var response = HTTPResponse(status: head.status)
        // Which pages may read an answer is decided at Remora's door: the backend saw no `Origin`.
        response.relayed = EndToEndFields.of(head.fields) { name in
            name.startsIgnoringCase(with: ForwardedRequest.accessControl)
                || address != nil && name.equalsIgnoringCase(ForwardedRequest.challenge)
        }
        if let address {
            challenges = head.fields.lines(named: ForwardedRequest.challenge).map { Array($0.value.bytes) }
            response.fields = challenges.map { ("www-authenticate", address.rewriteChallenge($0)) }
        }
        client.beginStream(response, length: head.bodyLength)
        restartTimeout()
        if isDraining { drain() }
    }

    func received(body: Span<UInt8>) {
        if unsent.isEmpty { target.loop.afterwards(self) }
        unsent.append(body, 0..<body.count)
        responseBytes += body.count
        if client.unsentBytes + unsent.count > ForwardedRequest.maxUnsent, !isPaused {
            isPaused = true
            connection?.pauseReading()
        }
        restartTimeout()
    }

    private func flushBody() {
        guard !unsent.isEmpty else { return }
        var part: [UInt8] = []
        swap(&part, &unsent)
        // An empty line ends an event.
        isBetweenEvents = part.count > 1 && part.suffix(2).allSatisfy { $0 == UInt8(ascii: "\n") }
        client.send([part[...]])
    }

    func finished() {
        flushBody()
        client.endStream()
        if let connection {
            // One that does not read would not notice its end.
            if isPaused { connection.close() } else { target.putBack(connection) }
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

extension ForwardedRequest: Resumable {
    func resume() {
        guard outcome == nil else { return }
        flushBody()
        if client.unsentBytes <= ForwardedRequest.maxUnsent { resumeReading() }
    }
}
