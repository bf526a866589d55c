import HTTPTransport
import HTTPWire
import JSONText
import MCP
import Reactor
import Translation

/// HTTP with server-sent events (2024-11-05, basic/transports, "HTTP with SSE"): a GET opens the channel, whose first event
/// names the place where messages are posted; the answer to each of them is only that it was taken.
final class EventStreamTransport: Channel, ChannelTransport {
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
    /// Of the GET.
    private var course: Redirect.Course
    /// Whether the answer to the last GET has led it elsewhere.
    private var isMoved = false
    private var revision: Revision?
    private let opened = Wakeup()

    init(to backend: Backend) {
        self.backend = backend
        route = SessionRoute(to: backend)
        course = Redirect.Course(from: backend.target)
        events = SSEDecoder(maxEvent: backend.limits.maxMessage)
        super.init(to: backend)
    }

    // MARK: Opening

    func connectChannel(_ credentials: Credentials) async throws(BackendError) {
        while endpoint == nil { try await askForStream(credentials) }
        connection?.setTimeout(nil)
        postHead = headOfPosts()
    }

    /// Sends the GET, and returns when the server has named its endpoint, or another place to ask at.
    private func askForStream(_ credentials: Credentials) async throws(BackendError) {
        let connection: HTTPClientConnection
        do throws(HTTPClientError) {
            connection = try await backend.connectServer()
        } catch {
            throw BackendError(error)
        }
        if let ending {
            connection.closeConnection()
            throw ending
        }
        self.connection = connection
        isMoved = false
        connection.setTimeout(loop.now + limits.handshake)
        let head = RequestHead(method: .get, sessionID: nil, revision: nil, route: route)
        connection.sendRequest(head.httpMessage(credentials), answersTo: self)
        while endpoint == nil, !isMoved {
            if let ending { throw ending }
            await opened.wait()
        }
        guard isMoved, let place = course.place else { return }
        connection.closeConnection()
        route.target = place
    }

    override func revisionAgreed(on revision: Revision) {
        self.revision = revision
        postHead = headOfPosts()
    }

    /// - Parameter place: nil for the endpoint.
    private func headOfPosts(at place: [UInt8]? = nil) -> RequestHead {
        RequestHead(method: .post, target: place ?? endpoint, sessionID: nil, revision: revision, route: route)
    }

    private func takeEndpoint(endpoint reference: [UInt8]) {
        guard
            let target = EndpointReference.resolveReference(
                reference, against: route.target, host: backend.host, isSecure: backend.isSecure),
            target.count <= EventStreamTransport.maxEndpoint
        else {
            return failCalls(
                BackendError(
                    .unavailable,
                    "the server's endpoint event names no place in its own origin; is it behind something that changes "
                        + "its address?"))
        }
        endpoint = target
        opened.signal()
    }

    // MARK: Sending

    func sendCall(
        _ text: SplicedText, for call: ChannelCall?, credentials: Credentials, trace: TraceContext?,
        failed: @escaping (BackendError) -> Void
    ) {
        call?.wasSent = true
        loop.spawn {
            do throws(BackendError) {
                try await self.deliver(text, credentials, trace, for: call)
            } catch {
                // The server may take as long to say so as the handler runs: the call's own time decides then.
                if error.kind == .silent || error.kind == .overdue { return }
                failed(error)
                self.endIfLost(error)
            }
        }
    }

    func sendNotification(_ text: [UInt8], credentials: Credentials) async throws(BackendError) {
        if let ending { throw ending }
        do throws(BackendError) {
            try await deliver(text, credentials, nil)
        } catch {
            endIfLost(error)
            throw error
        }
    }

    /// A server may take as long to say that it has a message as the handler runs: silence is no refusal.
    func deliverMessage(_ text: [UInt8], credentials: Credentials) async throws(BackendError) {
        do throws(BackendError) {
            try await sendNotification(text, credentials: credentials)
        } catch {
            guard error.kind == .silent || error.kind == .overdue else { throw error }
        }
    }

    /// No handler ran of the message that was refused; of the calls that are under way one cannot tell.
    private func endIfLost(_ error: BackendError) {
        if error.kind == .sessionLost { failCalls(BackendError(.unavailable, error.detail)) }
    }

    /// Has the server take a message, at its endpoint or where that leads: no handler has seen a message that is redirected.
    private func deliver(
        _ body: some HTTPBody, _ credentials: Credentials, _ trace: TraceContext?, for call: ChannelCall? = nil
    ) async throws(BackendError) {
        var course = Redirect.Course(from: endpoint ?? route.target)
        while try await isRedirected(try postMessage(body, at: course.place, credentials, trace), on: &course, call) {}
        // Whatever the redirects say of later messages: the endpoint of a session is one place.
        guard let place = course.place else { return }
        endpoint = place
        postHead = headOfPosts()
    }

    private func postMessage(
        _ body: some HTTPBody, at place: [UInt8]?, _ credentials: Credentials, _ trace: TraceContext?
    ) throws(BackendError) -> BackendExchange {
        guard let postHead else { throw BackendError(.unavailable, "the server has named no place for messages") }
        let head = place.map { headOfPosts(at: $0) } ?? postHead
        return BackendExchange(
            head.httpMessage(credentials, body: body, trace: trace), by: route,
            patience: .until(.now + EventStreamTransport.postTimeout), isRepeatable: false)
    }

    /// Waits until the server has taken a message. Returns whether it is to be sent again, to the new place of its course.
    ///
    /// - Parameter call: of the message, if it is a request: some servers send the response where they are asked, and not on the
    ///   stream.
    private func isRedirected(
        _ exchange: BackendExchange, on course: inout Redirect.Course, _ call: ChannelCall?
    ) async throws(BackendError) -> Bool {
        defer { exchange.abandonResponse() }
        let head = try await exchange.waitForHead()
        if (200..<300).contains(head.status) {
            guard let call, exchange.isSuccess else { return false }
            while let text = try? await exchange.nextMessage() {
                if let reply = try call.readReply(inBody: text, head.status, isAlone: exchange.isAlone) {
                    call.replyArrived(reply)
                    break
                }
            }
            return false
        }
        if try course.isRedirected(by: head, to: .post, of: backend) { return true }
        if let refusal = BackendError.rateLimited(head) { throw refusal }
        let body = await exchange.waitForBody()
        if !BackendError.asksForCredentials(head), let call,
            let reply = try call.readReply(inBody: body, head.status, isAlone: exchange.isAlone)
        {
            call.replyArrived(reply)
            return false
        }
        let error = BackendError.challenge(head) ?? BackendError.ofStatus(head.status)
        switch SessionLoss.responseVerdict(head, body[...]) {
        case .none: throw error
        case .proof: throw .sessionGone
        case .doubt(let doubt):
            guard let call else { throw error }
            call.replyArrived(.doubted(doubt, otherwise: .failure(error)))
            return false
        }
    }

    // MARK: The channel

    override func pauseReading() { connection?.pauseReading() }

    override func resumeReading() { connection?.resumeReading() }

    override func tearDown() {
        connection?.closeConnection()
        connection = nil
        opened.signal()
    }

    /// Nothing is left that would take a place.
    func isGone() async {}
}

extension EventStreamTransport: HTTPResponseHandler {
    func receivedHead(_ head: HTTPResponseHead) {
        route.noteResponse(head)
        do throws(BackendError) {
            isMoved = try course.isRedirected(by: head, to: .get, of: backend)
        } catch {
            return failCalls(error)
        }
        if isMoved { return opened.signal() }
        if let refusal = BackendError.challenge(head) { return failCalls(refusal) }
        guard head.status == 200 else {
            return failCalls(
                BackendError(
                    (400..<500).contains(head.status) ? .rejected(status: head.status) : .unavailable,
                    "the server answered GET with HTTP \(head.status) (is backends[].url its event stream?)"))
        }
        if let error = head.codingError { return failCalls(BackendError(.unavailable, error.detail)) }
        if head.fields.first("content-type")?.isMediaType("text/event-stream") != true {
            failCalls(BackendError(.outcomeUnknown, "the server answered GET with something else than an event stream"))
        }
    }

    func receivedBody(_ body: Span<UInt8>) {
        if isMoved { return }
        var offset = 0
        do throws(SSEDecodeError) {
            while ending == nil, let event = try events.nextEvent(body, from: &offset) {
                if event.type.map({ $0.elementsEqual("endpoint".utf8) }) == true {
                    // Only the first says where; another would move an open session.
                    if endpoint == nil { takeEndpoint(endpoint: event.data) }
                } else if endpoint != nil, let text = event.jsonMessage(of: backend, passedOver) {
                    receivedMessage(text)
                }
            }
        } catch {
            failCalls(
                BackendError(
                    .outcomeUnknown, "a message is larger than limits.max_response (\(limits.maxMessage) bytes)"))
        }
    }

    func responseEnded() {
        if !isMoved { channelLost("the server has ended the event stream") }
    }

    func responseFailed(_ error: HTTPClientError) {
        if isMoved { return }
        switch error {
        case .timedOut:
            failCalls(BackendError(.silent, "the server sent no endpoint for \(Backend.Limits.handshakeName)"))
        case .malformed: failCalls(BackendError(error))
        case .notConnected, .disconnected: channelLost("the event stream broke off")
        }
    }

    private func channelLost(_ detail: String) {
        connection = nil
        failCalls(BackendError(.unavailable, detail))
    }
}
