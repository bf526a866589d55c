import HTTPTransport
import HTTPWire
import JSONText
import MCP
import Reactor
import Translation

/// HTTP with server-sent events (2024-11-05, basic/transports, "HTTP with SSE"): a GET opens the channel, whose first event
/// names the place where messages are posted; the answer to each of them is only that it was taken.
final class EventStreamTransport: ChannelTransport {
    /// An endpoint in the first event. It goes into every head.
    private static let maxEndpoint = 4096
    /// Answers to POSTs may be waited for this long. They say only that the message was taken.
    private static let postTimeout: Duration = .seconds(30)

    private let backend: Backend
    private let route: SessionRoute
    private var connection: HTTPClientConnection?
    private var events: SSEDecoder
    private var postHead: RequestHead?
    private var endpoint: [UInt8]?
    private let opened = Wakeup()

    init(to backend: Backend) {
        self.backend = backend
        route = SessionRoute(to: backend)
        events = SSEDecoder(maxEvent: backend.limits.maxMessage)
        super.init(on: backend.loop, limits: backend.limits)
    }

    /// Whether it means that there is no such stream, rather than one with which something is wrong.
    static func isNotOffered(_ error: BackendError) -> Bool {
        switch error.kind {
        case .rejected, .outcomeUnknown: true
        default: false
        }
    }

    // MARK: Opening

    override func connect(_ credentials: Credentials) async throws(BackendError) {
        let connection: HTTPClientConnection
        do throws(HTTPClientError) {
            connection = try await backend.connect()
        } catch {
            throw BackendError(error)
        }
        self.connection = connection
        connection.setTimeout(loop.now + limits.silence)
        let head = RequestHead(method: .get, sessionID: nil, revision: nil, route: route)
        connection.send(head.message(credentials), answersTo: self)
        while endpoint == nil {
            if let ending { throw ending }
            await opened.wait()
        }
        connection.setTimeout(nil)
        postHead = headOfPosts(nil)
    }

    override func agreed(on revision: Revision) {
        postHead = headOfPosts(revision)
    }

    private func headOfPosts(_ revision: Revision?) -> RequestHead {
        RequestHead(method: .post, target: endpoint, sessionID: nil, revision: revision, route: route)
    }

    private func take(endpoint reference: [UInt8]) {
        guard reference.count <= EventStreamTransport.maxEndpoint,
            let target = EndpointReference.resolve(
                reference, against: backend.target, host: backend.host, isSecure: backend.isSecure)
        else {
            return finish(
                BackendError(
                    .unavailable,
                    "the server's endpoint event names no place in its own origin; is it behind something that changes "
                        + "its address?"))
        }
        endpoint = target
        opened.signal()
    }

    // MARK: Sending

    override func send(
        _ text: SplicedText, for call: ChannelCall?, credentials: Credentials, trace: TraceContext?,
        failed: @escaping (BackendError) -> Void
    ) {
        call?.wasSent = true
        loop.spawn {
            do throws(BackendError) {
                try await self.wait(for: try self.post(text, credentials, trace))
            } catch {
                // The server may take as long to say so as the handler runs: the call's own time decides then.
                if error.kind == .silent || error.kind == .overdue { return }
                failed(error)
                self.endIfLost(error)
            }
        }
    }

    override func notify(_ text: [UInt8], credentials: Credentials) async throws(BackendError) {
        if let ending { throw ending }
        do throws(BackendError) {
            try await wait(for: try post(text, credentials, nil))
        } catch {
            endIfLost(error)
            throw error
        }
    }

    /// A server may take as long to say that it has a message as the handler runs: silence is no refusal.
    override func deliver(_ text: [UInt8], credentials: Credentials) async throws(BackendError) {
        do throws(BackendError) {
            try await notify(text, credentials: credentials)
        } catch {
            guard error.kind == .silent || error.kind == .overdue else { throw error }
        }
    }

    /// No handler ran of the message that was refused; of the calls that are under way one cannot tell.
    private func endIfLost(_ error: BackendError) {
        if error.kind == .sessionLost { finish(BackendError(.unavailable, error.detail)) }
    }

    private func post(
        _ body: some HTTPBody, _ credentials: Credentials, _ trace: TraceContext?
    ) throws(BackendError) -> BackendExchange {
        guard let postHead else { throw BackendError(.unavailable, "the server has named no place for messages") }
        return BackendExchange(
            postHead.message(credentials, body: body, trace: trace), by: route,
            patience: .until(.now + EventStreamTransport.postTimeout), isRepeatable: false)
    }

    /// Waits until the server has taken a message.
    private func wait(for exchange: BackendExchange) async throws(BackendError) {
        defer { exchange.abandon() }
        let head = try await exchange.head()
        if (200..<300).contains(head.status) { return }
        if SessionLoss.isLoss(head, text: await exchange.errorBody()) {
            throw BackendError(.sessionLost, "the server no longer knows the session")
        }
        if let refusal = BackendError.unauthorized(head) { throw refusal }
        let detail = "the server answered with HTTP \(head.status)"
        throw BackendError((400..<500).contains(head.status) ? .rejected(status: head.status) : .outcomeUnknown, detail)
    }

    // MARK: The channel

    override func pauseReading() { connection?.pauseReading() }

    override func resumeReading() { connection?.resumeReading() }

    override func tearDown() {
        connection?.close()
        connection = nil
        opened.signal()
    }
}

extension EventStreamTransport: HTTPResponseHandler {
    func received(_ head: HTTPResponseHead) {
        route.take(head)
        if let refusal = BackendError.unauthorized(head) { return finish(refusal) }
        guard head.status == 200 else {
            return finish(
                BackendError(
                    (400..<500).contains(head.status) ? .rejected(status: head.status) : .unavailable,
                    "the server answered GET with HTTP \(head.status) (is backends[].url its event stream?)"))
        }
        if head.fields.first("content-type")?.isMediaType("text/event-stream") != true {
            finish(BackendError(.outcomeUnknown, "the server answered GET with something else than an event stream"))
        }
    }

    func received(body: Span<UInt8>) {
        var offset = 0
        do throws(SSEDecodeError) {
            while ending == nil, let event = try events.next(body, from: &offset) {
                if event.type.map({ $0.elementsEqual("endpoint".utf8) }) == true {
                    // Only the first says where; another would move an open session.
                    if endpoint == nil { take(endpoint: event.data) }
                } else if event.type == nil, !event.data.isEmpty, endpoint != nil {
                    received(event.data)
                }
            }
        } catch {
            finish(
                BackendError(
                    .outcomeUnknown, "a message is larger than limits.max_response (\(limits.maxMessage) bytes)"))
        }
    }

    func finished() { lost("the server has ended the event stream") }

    func failed(_ error: HTTPClientError) {
        switch error {
        case .timedOut: finish(BackendError(.silent, "the server sent no endpoint for limits.backend_idle_timeout"))
        case .malformed: finish(BackendError(error))
        case .notConnected, .disconnected: lost("the event stream broke off")
        }
    }

    private func lost(_ detail: String) {
        connection = nil
        finish(BackendError(.unavailable, detail))
    }
}
