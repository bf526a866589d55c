import HTTPTransport
import HTTPWire
import JSONText
import MCP
import Reactor
import Translation

/// Streamable HTTP (2025-03-26 to 2025-11-25, basic/transports): each message is a POST, whose answer belongs to it, and
/// what belongs to none comes by GET. The session is an id in each head.
final class StreamableHTTP: SessionTransport {
    /// How long a server may take to say that a session is deleted. Only a process that stops waits for it.
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
    private var early: [Envelope] = []
    private var pushStream: PushStream?
    private(set) var resumptions = 0

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
    func resumeCall(_ terms: LegacyCall.Terms, after eventID: [UInt8]) -> StreamableCall {
        let resumption = StreamResumption(lastEventID: eventID, retry: nil)
        return StreamableCall(
            terms, by: self, resumeStream(resumption, credentials: terms.credentials, until: terms.end),
            of: .resumption(resumption))
    }

    // MARK: Opening

    func openSession(_ introduction: Introduction, credentials: Credentials) async throws(BackendError) -> Handshake {
        let reader = HandshakeReader<Envelope>()
        let handshake = try await introduction.agreeOnRevision { () async throws(BackendError) in
            try await introduceClient(introduction, credentials, reader)
        }
        early = reader.early
        return handshake
    }

    private func introduceClient(
        _ introduction: Introduction, _ credentials: Credentials, _ reader: HandshakeReader<Envelope>
    ) async throws(BackendError) -> Handshake {
        // The id of a revision that was refused.
        if sessionID.take() != nil { postHead = requestHead(.post) }
        let (exchange, response) = try await sendInitialize(introduction, credentials)
        defer { exchange.abandonResponse() }
        guard (200..<300).contains(response.status) else {
            throw .refusedInitialize(by: response, await exchange.waitForBody())
        }
        sessionID = try StreamableHTTP.sessionID(in: response)
        postHead = requestHead(.post)
        let handshake = try await readHandshake(from: exchange, introduction, reader)
        revision = handshake.revision
        postHead = requestHead(.post)
        return handshake
    }

    /// Sends `initialize` to where the server has it. All that follows goes there at once.
    ///
    /// - Returns: the exchange, to be abandoned by the caller, and the head of its answer.
    private func sendInitialize(
        _ introduction: Introduction, _ credentials: Credentials
    ) async throws(BackendError) -> (BackendExchange, HTTPResponseHead) {
        let request = introduction.request
        let (exchange, response, place) = try await sendFollowing(.post) { place in
            let exchange = postMessage(
                request, at: place, credentials: credentials, until: introduction.end, isRepeatable: true)
            introduction.abandonment.onSet = { [weak exchange] in exchange?.failExchange(with: .clientLeft) }
            return exchange
        }
        if let place { endpointMoved(to: place) }
        return (exchange, response)
    }

    // MARK: Redirects

    /// Sends a request, and sends it again where the answer says that it is to go elsewhere. A POST that is not followed is an
    /// error that says why; of another method the redirect is the answer.
    ///
    /// - Parameter send: is given the place; `nil` for the place of the session's requests.
    /// - Returns: the exchange, to be abandoned by the caller, the head of its answer, and the place where it was found, if that
    ///   is another.
    func sendFollowing(
        _ method: HTTPMethod, _ send: (_ place: [UInt8]?) -> BackendExchange
    ) async throws(BackendError) -> (BackendExchange, HTTPResponseHead, place: [UInt8]?) {
        var course = Redirect.Course(from: route.target)
        while true {
            let exchange = send(course.place)
            do throws(BackendError) {
                let head = try await exchange.waitForHead()
                guard try followsRedirect(head, of: method, on: &course) else {
                    if method == .post, (200..<300).contains(head.status) { endpointMoved(on: course) }
                    return (exchange, head, course.place)
                }
            } catch {
                exchange.abandonResponse()
                throw error
            }
            exchange.abandonResponse()
        }
    }

    /// Whether a request is to be sent again, to the new place of its course.
    func followsRedirect(
        _ head: HTTPResponseHead, of method: HTTPMethod, on course: inout Redirect.Course
    ) throws(BackendError) -> Bool {
        do throws(BackendError) {
            return try course.isRedirected(by: head, to: method, of: backend)
        } catch {
            if method == .post { throw error }
            return false
        }
    }

    /// A POST has found its place. What has moved a part of the session for good (a GET stream, say) may not have moved the rest,
    /// and what leads nowhere moves nothing.
    func endpointMoved(on course: Redirect.Course) {
        if let place = course.movedTo { endpointMoved(to: place) }
    }

    /// All that is sent from now on goes there.
    private func endpointMoved(to target: [UInt8]) {
        route.target = target
        postHead = requestHead(.post)
    }

    /// Path and query that the session's requests go to.
    var target: [UInt8] { route.target }

    private func readHandshake(
        from exchange: BackendExchange, _ introduction: Introduction, _ reader: HandshakeReader<Envelope>
    ) async throws(BackendError) -> Handshake {
        func read(_ text: [UInt8]) async throws(BackendError) -> (found: Handshake?, flaw: ServerMessages.Flaw?) {
            let messages = ServerMessages(text, revision: nil, maxDepth: backend.limits.maxDepth)
            return (
                try await reader.findHandshake(among: messages, answering: introduction) { sendPong($0) }, messages.flaw
            )
        }
        if !exchange.isSuccess {
            // Of another type, as the head of a call's answer may be.
            if let handshake = try await read(await exchange.waitForBody()).found { return handshake }
            throw BackendError(.unavailable, "the answer to initialize is neither JSON nor an event stream")
        }
        while let text = try await exchange.nextMessage() {
            let (handshake, flaw) = try await read(text)
            if let handshake { return handshake }
            guard let flaw else { continue }
            guard exchange.isStream else {
                throw BackendError(.unavailable, "the answer to initialize is \(flaw.words)")
            }
            route.passedOver.noteSkipped(text.count, because: flaw.words)
        }
        throw BackendError(.unavailable, "the server ended its answer to initialize without a result")
    }

    /// Sends the answer to a ping, for which the handshake does not wait.
    private func sendPong(_ text: [UInt8]) {
        guard pongs < StreamableHTTP.maxPongs else { return }
        pongs += 1
        backend.loop.spawn { [credentials] in
            try? await self.sendNotification(text, credentials: credentials)
            self.pongs -= 1
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

    func beginCall(
        _ text: consuming SplicedText, _ terms: consuming LegacyCall.Terms, trace: TraceContext?
    ) -> LegacyCall {
        let exchange = postMessage(
            text, credentials: terms.credentials, trace: trace, until: terms.end, isRepeatable: false)
        return StreamableCall(terms, by: self, exchange, of: .post(text, trace))
    }

    /// Sends the request of a call again, to where it is to go.
    func sendRequest(
        _ request: StreamableCall.Request, to place: [UInt8]?, credentials: Credentials, until end: Instant
    ) -> BackendExchange {
        switch request {
        case .post(let text, let trace):
            postMessage(text, at: place, credentials: credentials, trace: trace, until: end, isRepeatable: false)
        case .resumption(let resumption):
            resumeStream(resumption, at: place, credentials: credentials, until: end)
        }
    }

    func sendNotification(_ text: [UInt8], credentials: Credentials) async throws(BackendError) {
        let end = Instant.now + backend.limits.handshake
        let (exchange, head, _) = try await sendFollowing(.post) { place in
            postMessage(text, at: place, credentials: credentials, until: end, isRepeatable: true)
        }
        defer { exchange.abandonResponse() }
        guard (200..<300).contains(head.status) else {
            throw BackendError.rateLimited(head)
                ?? BackendError(.unavailable, "the server answered a notification with HTTP \(head.status)")
        }
    }

    /// Goes on with the stream of a request that ended before the response.
    func resumeStream(
        _ resumption: StreamResumption, at place: [UInt8]? = nil, credentials: Credentials, until end: Instant
    ) -> BackendExchange {
        resumptions += 1
        return BackendExchange(
            requestHead(.get, at: place).httpMessage(credentials, lastEventID: resumption.lastEventID), by: route,
            patience: .until(end), isRepeatable: true)
    }

    private func postMessage(
        _ body: some HTTPBody, at place: [UInt8]? = nil, credentials: Credentials, trace: TraceContext? = nil,
        until end: Instant, isRepeatable: Bool
    ) -> BackendExchange {
        let head = place.map { self.requestHead(.post, at: $0) } ?? postHead
        return BackendExchange(
            head.httpMessage(credentials, body: body, trace: trace), by: route, patience: .until(end),
            isRepeatable: isRepeatable)
    }

    private func requestHead(_ method: HTTPMethod, at place: [UInt8]? = nil) -> RequestHead {
        RequestHead(method: method, target: place, sessionID: sessionID, revision: revision, route: route)
    }

    /// The request for ``askEra(_:)``.
    func eraExchange(_ credentials: Credentials, at place: [UInt8]?) -> BackendExchange {
        let head = RequestHead(
            method: .post, target: place, sessionID: sessionID, revision: .modern, route: route,
            messageMethod: .discover)
        return BackendExchange(
            head.httpMessage(credentials, body: EraQuestion.requestBody(id: backend.requestIDs.nextID())), by: route,
            patience: .until(.now + EraQuestion.timeout), isRepeatable: true)
    }

    /// Each request is one of HTTP, and has a connection to itself unless the session has only one.
    var isSequential: Bool { route.pin != nil }

    var hearsDuringCalls: Bool { route.pin == nil }

    // MARK: Loss

    /// What an error means for a request of the session that was never sent: where the server cannot be reached and a copy
    /// of it can, the session is lost with it.
    func errorMeaning(of error: BackendError) -> BackendError {
        guard error.kind == .unavailable, backend.hasAlternative() else { return error }
        return BackendError(.sessionLost, error.detail)
    }

    // MARK: The GET stream

    func listenForMessages(for session: LegacySession, credentials: Credentials) {
        for message in early { session.receiveMessage(message, on: nil) }
        early = []
        if let pin = route.pin { return keepAlive(pin, for: session, credentials) }
        let stream = PushStream(session: session, transport: self, route: route, credentials: credentials)
        pushStream = stream
        backend.loop.spawn { await stream.keepStreamOpen() }
    }

    /// The request for the GET stream.
    ///
    /// - Parameters:
    ///   - lastEventID: where it is to go on.
    ///   - place: `nil` for the place of the session's requests.
    func pushRequest(_ credentials: Credentials, after lastEventID: [UInt8]?, at place: [UInt8]?) -> HTTPMessage {
        if lastEventID != nil { resumptions += 1 }
        return requestHead(.get, at: place).httpMessage(credentials, lastEventID: lastEventID)
    }

    /// On the one connection of a session no stream can stay open. So that the server does not close it, it is asked for a
    /// sign of life now and then.
    private func keepAlive(_ pin: PinnedConnection, for session: LegacySession, _ credentials: Credentials) {
        if pin.isOver { return session.sessionLost() }
        pin.onEnd = { [weak session] in session?.sessionLost() }
        pin.onRest = { [weak self, weak session, loop = backend.loop] in
            guard let self, let session else { return }
            loop.spawn {
                let life = await session.askQuestion(.ping, credentials)
                // A server that keeps no session has none to lose, whatever it thinks of `ping`.
                if life != .alive, self.isKept { session.sessionLost() }
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

    var passedOver: PassedOver { route.passedOver }

    var cookieField: [UInt8] { route.cookies.field }

    var sharedTarget: [UInt8]? { isSequential || sessionID == nil ? nil : route.target }

    // MARK: The end

    func stopListening() {
        pushStream?.stopStream()
        route.pin?.onEnd = nil
        route.pin?.onRest = nil
    }

    /// As far as the server lets us: 405 is a fine answer. The credentials are those of the handshake: no call causes it.
    func endSession() async {
        defer { route.pin?.close() }
        guard sessionID != nil else { return }
        let end = Instant.now + StreamableHTTP.closeTimeout
        let answer = try? await sendFollowing(.delete) { place in
            BackendExchange(
                requestHead(.delete, at: place).httpMessage(credentials), by: route, patience: .until(end),
                isRepeatable: true)
        }
        answer?.0.abandonResponse()
    }

    func dropSession() {
        stopListening()
        route.pin?.close()
    }

    /// Nothing is left that would take a place.
    func isGone() async {}
}
