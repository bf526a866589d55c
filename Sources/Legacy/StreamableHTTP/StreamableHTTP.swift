import HTTPTransport
import HTTPWire
import JSONText
import MCP
import Reactor
import Translation

/// Streamable HTTP (2025-03-26 to 2025-11-25, basic/transports): each message is a POST, whose answer belongs to it, and
/// what belongs to none comes by GET. The session is an id in each head.
final class StreamableHTTP: SessionTransport {
    /// How long a server may take to say that a session is deleted. Nobody waits for it but a process that stops.
    private static let closeTimeout: Duration = .seconds(2)

    private let backend: Backend
    /// Of the request that opened the session; for what is done on the session's own account.
    private let credentials: Credentials
    /// Nil where the server issues none and keeps no state.
    private(set) var sessionID: [UInt8]?
    /// The negotiated one; nil before there is one.
    private var revision: Revision?
    private let route: SessionRoute
    /// The head of every call.
    private var postHead: RequestHead
    /// Answers to pings on their way, before there is a session that would count them.
    private var pongs = 0
    /// More are not sent: each takes a connection, and a server that has not taken these waits for none.
    private static let maxPongs = 4
    /// What the server asked in its answer to `initialize`.
    private var early: [[UInt8]] = []
    private var pushStream: PushStream?

    init(to backend: Backend, credentials: Credentials) {
        self.backend = backend
        self.credentials = credentials
        route = SessionRoute(to: backend)
        postHead = RequestHead(method: .post, sessionID: nil, revision: nil, route: route)
    }

    /// To a session that another process opened.
    ///
    /// - Parameters:
    ///   - target: ``target`` of a session of this process.
    ///   - cookies: as ``cookieField`` had them there.
    init(
        to backend: Backend, at target: [UInt8]? = nil, sessionID: [UInt8], cookies: [UInt8], revision: Revision,
        credentials: Credentials
    ) {
        self.backend = backend
        route = SessionRoute(to: backend, at: target, cookies: cookies)
        self.credentials = credentials
        self.sessionID = sessionID
        self.revision = revision
        postHead = RequestHead(method: .post, sessionID: sessionID, revision: revision, route: route)
    }

    /// Goes on with a request that another process sent, behind the event with this id.
    func takeUp(_ terms: LegacyCall.Terms, after eventID: [UInt8]) -> StreamableCall {
        let resumption = StreamResumption(lastEventID: eventID, retry: nil)
        return StreamableCall(
            terms, by: self, resume(resumption, credentials: terms.credentials, until: terms.end))
    }

    // MARK: Opening

    func open(_ introduction: Introduction, credentials: Credentials) async throws(BackendError) -> Handshake {
        while true {
            do throws(BackendError) {
                return try await introduce(introduction, credentials)
            } catch {
                guard introduction.goesOn(after: error) else { throw error }
                sessionID = nil
                postHead = head(.post)
            }
        }
    }

    private func introduce(
        _ introduction: Introduction, _ credentials: Credentials
    ) async throws(BackendError) -> Handshake {
        let (exchange, response) = try await initialize(introduction.request, until: introduction.end, credentials)
        defer { exchange.abandon() }
        guard (200..<300).contains(response.status) else {
            throw .refusedInitialize(by: response, await exchange.body())
        }
        sessionID = try StreamableHTTP.sessionID(in: response)
        postHead = head(.post)
        let handshake = try await handshake(from: exchange, introduction)
        revision = handshake.revision
        postHead = head(.post)
        return handshake
    }

    /// Sends `initialize` to where the server has it. All that follows goes there at once.
    ///
    /// - Returns: the exchange, to be abandoned by the caller, and the head of its answer.
    private func initialize(
        _ request: [UInt8], until end: Instant, _ credentials: Credentials
    ) async throws(BackendError) -> (BackendExchange, HTTPResponseHead) {
        var hops = 0
        while true {
            let exchange = post(request, credentials: credentials, until: end, isRepeatable: true)
            do throws(BackendError) {
                let response = try await exchange.head()
                let target = try Redirect.target(
                    in: response, from: route.target, to: .post, of: backend, after: hops)
                guard let target else { return (exchange, response) }
                route.target = target
            } catch {
                exchange.abandon()
                throw error
            }
            exchange.abandon()
            postHead = head(.post)
            hops += 1
        }
    }

    /// Path and query that the session's requests go to.
    var target: [UInt8] { route.target }

    private func handshake(
        from exchange: BackendExchange, _ introduction: Introduction
    ) async throws(BackendError) -> Handshake {
        if !exchange.isSuccess {
            // Of another type, as the head of a call's answer may be.
            if let handshake = try handshake(in: await exchange.body(), introduction).found { return handshake }
            throw BackendError(.unavailable, "the answer to initialize is neither JSON nor an event stream")
        }
        while let text = try await exchange.next() {
            let (handshake, flaw) = try handshake(in: text, introduction)
            if let handshake { return handshake }
            guard let flaw else { continue }
            guard exchange.isStream else {
                throw BackendError(.unavailable, "the answer to initialize is \(flaw.words)")
            }
            backend.passesOver(text.count, because: flaw.words)
        }
        throw BackendError(.unavailable, "the server ended its answer to initialize without a result")
    }

    private func handshake(
        in text: [UInt8], _ introduction: Introduction
    ) throws(BackendError) -> (found: Handshake?, flaw: ServerMessages.Flaw?) {
        let messages = ServerMessages(text, revision: nil, maxDepth: backend.limits.maxDepth)
        for message in messages {
            if let handshake = try Handshake.from(message, answering: introduction) { return (handshake, nil) }
            answerEarly(message)
        }
        return (nil, messages.flaw)
    }

    /// What a server asks before the handshake is over.
    private func answerEarly(_ message: Envelope) {
        guard case .request(let id, let method) = message.kind else { return }
        if message.document.string(method, equals: "ping") {
            // The one thing that it may ask, and it may wait for the answer.
            guard pongs < StreamableHTTP.maxPongs else { return }
            pongs += 1
            let answer = ServerRequest.emptyResult(id: message.document.raw(id))
            backend.loop.spawn { [credentials] in
                try? await self.notify(answer, credentials: credentials)
                self.pongs -= 1
            }
        } else if early.count < LegacySession.maxEarlyQuestions {
            early.append(message.document.bytes)
        }
    }

    /// Bytes of a session id. Servers that keep no state put a signed token there, of up to some KiB.
    private static let maxSessionID = 4096

    /// Visible ASCII only (basic/transports, "Session Management"): it goes into a header. One that is empty is none.
    private static func sessionID(in response: HTTPResponseHead) throws(BackendError) -> [UInt8]? {
        guard let value = response.fields.first(Header.sessionID) else { return nil }
        let id = Array(value.bytes)
        if id.isEmpty { return nil }
        guard id.count <= maxSessionID else {
            throw BackendError(.unavailable, "the server issued a session id of more than \(maxSessionID) bytes")
        }
        guard id.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw BackendError(.unavailable, "the server issued a session id that is not visible ASCII")
        }
        return id
    }

    // MARK: Messages

    func call(_ text: SplicedText, _ terms: LegacyCall.Terms, trace: TraceContext?) -> LegacyCall {
        let exchange = post(
            text, credentials: terms.credentials, trace: trace, until: terms.end, isRepeatable: false)
        return StreamableCall(terms, by: self, exchange)
    }

    func notify(_ text: [UInt8], credentials: Credentials) async throws(BackendError) {
        let exchange = post(text, credentials: credentials, until: .now + backend.limits.handshake, isRepeatable: true)
        defer { exchange.abandon() }
        let head = try await exchange.head()
        guard (200..<300).contains(head.status) else {
            throw BackendError.rateLimited(head)
                ?? BackendError(.unavailable, "the server answered a notification with HTTP \(head.status)")
        }
    }

    /// Goes on with the stream of a request that ended before the response.
    func resume(_ resumption: StreamResumption, credentials: Credentials, until end: Instant) -> BackendExchange {
        BackendExchange(
            head(.get).message(credentials, lastEventID: resumption.lastEventID), by: route, patience: .until(end),
            isRepeatable: true)
    }

    private func post(
        _ body: some HTTPBody, credentials: Credentials, trace: TraceContext? = nil, until end: Instant,
        isRepeatable: Bool
    ) -> BackendExchange {
        BackendExchange(
            postHead.message(credentials, body: body, trace: trace), by: route, patience: .until(end),
            isRepeatable: isRepeatable)
    }

    private func head(_ method: HTTPMethod) -> RequestHead {
        RequestHead(method: method, sessionID: sessionID, revision: revision, route: route)
    }

    /// The request for ``askEra(_:)``.
    func eraExchange(_ credentials: Credentials) -> BackendExchange {
        let head = RequestHead(
            method: .post, sessionID: sessionID, revision: .modern, route: route, messageMethod: .discover)
        return BackendExchange(
            head.message(credentials, body: EraQuestion.body(id: backend.requestIDs.take())), by: route,
            patience: .until(.now + EraQuestion.timeout), isRepeatable: true)
    }

    /// Each request is one of HTTP, and has a connection to itself unless the session has only one.
    var isSequential: Bool { route.pin != nil }

    var hearsDuringCalls: Bool { route.pin == nil }

    // MARK: Loss

    /// What an error means for a request of the session that was never sent: where the server cannot be reached and a copy
    /// of it can, the session is lost with it.
    func meaning(of error: BackendError) -> BackendError {
        guard error.kind == .unavailable, backend.hasAlternative() else { return error }
        return BackendError(.sessionLost, error.detail)
    }

    // MARK: The GET stream

    func listen(for session: LegacySession, credentials: Credentials) {
        for text in early { session.hear(text) }
        early = []
        if let pin = route.pin { return keep(pin, for: session, credentials) }
        let stream = PushStream(session: session, transport: self, route: route, credentials: credentials)
        pushStream = stream
        backend.loop.spawn { await stream.run() }
    }

    /// The request for the GET stream.
    ///
    /// - Parameter lastEventID: where it is to go on.
    func pushRequest(_ credentials: Credentials, after lastEventID: [UInt8]?) -> HTTPMessage {
        head(.get).message(credentials, lastEventID: lastEventID)
    }

    /// On the one connection of a session no stream can stay open. So that the server does not close it, it is asked for a
    /// sign of life now and then.
    private func keep(_ pin: PinnedConnection, for session: LegacySession, _ credentials: Credentials) {
        if pin.isOver { return session.lost() }
        pin.onEnd = { [weak session] in session?.lost() }
        pin.onRest = { [weak self, weak session, loop = backend.loop] in
            guard let self, let session else { return }
            loop.spawn {
                let life = await session.ask(.ping, credentials)
                // A server that keeps no session has none to lose, whatever it thinks of `ping`.
                if life != .alive, self.isKept { session.lost() }
            }
        }
    }

    /// The GET stream is there, or is being opened for longer than a server takes that has none.
    func hasPushChannel() async -> Bool { await pushStream?.isOffered() ?? false }

    var knowsPushChannel: Bool { pushStream?.isDecided ?? true }

    /// Whether the GET stream is there, or may be soon, so that a response can come on it.
    var mayPushAnswers: Bool { pushStream?.mayBring == true }

    var isOver: Bool { route.pin?.isOver == true }

    var isKept: Bool { sessionID != nil }

    var cookieField: [UInt8] { route.cookies.field }

    // MARK: The end

    func stopListening() {
        pushStream?.stop()
        route.pin?.onEnd = nil
        route.pin?.onRest = nil
    }

    /// As far as the server lets us: 405 is a fine answer. The credentials are those of the handshake: nobody's call
    /// causes it.
    func end() async {
        defer { route.pin?.close() }
        guard sessionID != nil else { return }
        let exchange = BackendExchange(
            head(.delete).message(credentials), by: route,
            patience: .until(.now + StreamableHTTP.closeTimeout), isRepeatable: true)
        _ = try? await exchange.head()
        exchange.abandon()
    }

    func drop() {
        stopListening()
        route.pin?.close()
    }
}
