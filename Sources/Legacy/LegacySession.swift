import HTTPTransport
import HTTPWire
import JSONText
package import MCP
package import Reactor
package import Translation

/// A session with a legacy server over Streamable HTTP (2025-03-26 to 2025-11-25, basic/transports), from its
/// handshake to its DELETE.
package final class LegacySession {
    /// How long a server may take to say that a session is deleted. Nobody waits for it but a process that stops.
    private static let closeTimeout: Duration = .seconds(2)
    /// Answers to the server's requests that may be on their way at once. Each takes a connection, and a server that
    /// asks without end must not get one for each question: beyond the limit it gets no answer.
    private static let maxAnswers = 64
    /// How long a server may take for what it need not think about (`ping`, `logging/setLevel`), while a call waits.
    private static let askTimeout: Duration = .seconds(5)
    /// Between a cancellation and the end of a session of 2025-03-26.
    private static let restAfterCancellation: Duration = .seconds(1)

    private let backend: Backend
    package let handshake: Handshake
    /// Nil where the server issues none and keeps no state.
    private let sessionID: [UInt8]?
    /// Of the request that opened the session; for what the session does on its own account.
    private let credentials: Credentials
    /// The head of every call.
    private let postHead: RequestHead
    private var lastRequestID = 0
    private var answersUnderWay = 0
    /// The calls whose client wants to hear of progress, which may come on any stream.
    private var calls: [Int: LegacyCall] = [:]
    private var callsInFlight = 0
    /// Cancellations that wait for the session's other calls to end.
    private var postponed: [(text: [UInt8], credentials: Credentials)] = []
    private var hasCancelled = false
    /// Notifications on their way that nobody waits for, but the end of the session.
    private var notifying = 0
    private let notified = Gate()
    private let logging: SessionLogging
    private var pinging: Gate?
    private var wasAlive = true
    private var pushStream: PushStream?
    private var tools = ToolDirectory()
    private(set) var isClosed = false

    /// Called when the session itself notices that the server has lost it.
    var onLoss: (() -> Void)?
    /// Called when no further call is to use the session, though the server still knows it.
    var onGivenUp: (() -> Void)?
    /// Called when the server says that something has changed, on whichever stream.
    var onCue: ((Cue) -> Void)?
    /// Called when the GET stream is back after a time in which nothing could be heard on it.
    var onGap: (() -> Void)?
    /// Whether somebody waits for what comes on the GET stream: it is then opened again sooner.
    package var isWatched = false

    private init(backend: Backend, handshake: Handshake, sessionID: [UInt8]?, credentials: Credentials) {
        self.backend = backend
        self.handshake = handshake
        self.sessionID = sessionID
        self.credentials = credentials
        logging = SessionLogging(isOffered: handshake.offers(.logging))
        postHead = RequestHead(method: .post, backend: backend, sessionID: sessionID, revision: handshake.revision)
    }

    // MARK: Opening

    /// Does the handshake: `initialize`, `notifications/initialized`, and then the GET stream, for which it does not
    /// wait.
    ///
    /// - Parameter credentials: header lines of the request that needs the session.
    /// - Throws: never that the outcome is unknown: whatever becomes of a handshake, no call was sent.
    static func open(
        on backend: Backend, capabilities: [UInt8], credentials: Credentials
    ) async throws(BackendError) -> LegacySession {
        do throws(BackendError) {
            return try await shakeHands(with: backend, capabilities: capabilities, credentials: credentials)
        } catch {
            throw error.beforeDispatch(of: "initialize")
        }
    }

    private static func shakeHands(
        with backend: Backend, capabilities: [UInt8], credentials: Credentials
    ) async throws(BackendError) -> LegacySession {
        let request = Handshake.request(id: 1, capabilities: capabilities, remoraVersion: Version.current)
        let head = RequestHead(method: .post, backend: backend, sessionID: nil, revision: nil)
        let exchange = BackendExchange(
            head.message(credentials, body: request), to: backend,
            patience: .until(.now + backend.limits.silence), isRepeatable: true)
        defer { exchange.abandon() }
        let response = try await exchange.head()
        guard response.status == 200 else {
            throw LegacySession.handshakeError(response)
        }
        let handshake = try await LegacySession.handshake(from: exchange, backend)
        let sessionID = try LegacySession.sessionID(in: response)
        let session = LegacySession(
            backend: backend, handshake: handshake, sessionID: sessionID, credentials: credentials)
        session.lastRequestID = 1
        try await session.notify(Handshake.initialized, credentials: credentials)
        session.openPushStream()
        return session
    }

    private static func handshake(
        from exchange: BackendExchange, _ backend: Backend
    ) async throws(BackendError) -> Handshake {
        while let text = try await exchange.next() {
            guard let message = try? Envelope(JSONDocument(text, maxDepth: backend.limits.maxDepth)) else {
                throw BackendError(.unavailable, "the answer to initialize is not JSON-RPC")
            }
            guard case .response(let id, let outcome) = message.kind else { continue }
            guard case .result(let result) = outcome, let id, message.document.integer(id) == 1 else {
                throw BackendError(.unavailable, "the server refused initialize")
            }
            do throws(Handshake.Flaw) {
                return try Handshake(result, in: message.document)
            } catch .malformed {
                throw BackendError(.unavailable, "the result of initialize is incomplete")
            } catch {
                throw BackendError(.unavailable, "the server speaks a revision that Remora does not")
            }
        }
        throw BackendError(.unavailable, "the server ended its answer to initialize without a result")
    }

    private static func handshakeError(_ response: HTTPResponseHead) -> BackendError {
        if let refusal = BackendError.unauthorized(response) { return refusal }
        return BackendError(
            .unavailable,
            "the server answered initialize with HTTP \(response.status) (is backends[].url its endpoint?)")
    }

    /// Visible ASCII only (basic/transports, "Session Management"): it goes into a header.
    private static func sessionID(in response: HTTPResponseHead) throws(BackendError) -> [UInt8]? {
        guard let value = response.fields.first(Header.sessionID) else { return nil }
        let id = Array(value.bytes)
        guard !id.isEmpty, id.count <= 1024, id.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw BackendError(.unavailable, "the server issued a session id that is not visible ASCII")
        }
        return id
    }

    // MARK: Calls

    /// Begins a request of a client. Its answer is awaited with `LegacyCall.answer`, and fails when it has not come at
    /// `end`.
    ///
    /// - Parameter listener: hears what the server says of the request before it answers. It must outlive the call.
    package func call(
        _ request: ModernRequest, credentials: Credentials, until end: Instant, listener: any CallListener
    ) -> LegacyCall {
        let id = nextRequestID()
        let text = RequestTranslation.legacy(
            request, in: RequestContext(id: id, revision: handshake.revision))
        let exchange = post(text, credentials: credentials, trace: request.trace, until: end, isRepeatable: false)
        let call = LegacyCall(
            id: id, on: self, exchange: exchange, credentials: credentials, until: end, listener: listener)
        callsInFlight += 1
        if request.wantsProgress { calls[id] = call }
        return call
    }

    /// Begins a request on the session's own account.
    private func call(
        _ text: (_ id: Int) -> [UInt8], credentials: Credentials, until end: Instant
    ) -> LegacyCall {
        let id = nextRequestID()
        let exchange = post(text(id), credentials: credentials, until: end, isRepeatable: false)
        callsInFlight += 1
        return LegacyCall(id: id, on: self, exchange: exchange, credentials: credentials, until: end, listener: nil)
    }

    func ended(_ call: LegacyCall) {
        if !calls.isEmpty { calls[call.id] = nil }
        callsInFlight -= 1
        if callsInFlight == 0, !postponed.isEmpty { sendPostponed() }
    }

    /// Tells the server that nobody wants the answer to a request any more.
    func cancel(_ requestID: Int, reason: String, credentials: Credentials) {
        let text = ServerRequest.cancelled(requestID: requestID, reason: reason)
        guard handshake.revision == .v2025_03_26 else { return notifyInBackground(text, credentials: credentials) }
        // The Python SDK of that time breaks a session by a cancellation, with every call in it: from then on it answers
        // 200 and a broken stream. So the others come to their end first, and new ones go elsewhere.
        postponed.append((text, credentials))
        if callsInFlight == 0 { sendPostponed() }
        onGivenUp?()
    }

    private func sendPostponed() {
        hasCancelled = true
        for (text, credentials) in postponed { notifyInBackground(text, credentials: credentials) }
        postponed = []
    }

    /// Asks for a page of a list on Remora's own account.
    ///
    /// - Parameter cursor: as the server spelled it; nil for the first page.
    package func list(_ method: Method, cursor: [UInt8]?, credentials: Credentials, until end: Instant) -> LegacyCall {
        call({ ServerRequest.list(method, id: $0, cursor: cursor) }, credentials: credentials, until: end)
    }

    /// Has the server send log messages from `level` on, as far as it sends any. A server that does not obey is not
    /// worth an error: the call is what the client wants.
    package func log(from level: LoggingLevel, credentials: Credentials) async {
        await logging.lower(to: level) { level in
            _ = try? await call(
                { ServerRequest.setLevel(level, id: $0) }, credentials: credentials,
                until: .now + LegacySession.askTimeout
            ).answer()
        }
    }

    /// Asks the server to tell of changes of a resource (2025-11-25, server/resources, "Subscriptions").
    ///
    /// - Parameter uri: in UTF-8.
    /// - Returns: whether the server agreed.
    package func subscribe(to uri: [UInt8], credentials: Credentials) async -> Bool {
        let call = call(
            { ServerRequest.subscribe(to: uri, id: $0) }, credentials: credentials,
            until: .now + LegacySession.askTimeout)
        guard case .result = try? await call.answer().outcome else { return false }
        return true
    }

    /// Asks the server not to tell of changes of a resource any more. Nobody waits for its answer.
    package func unsubscribe(from uri: [UInt8], credentials: Credentials) {
        let call = call(
            { ServerRequest.unsubscribe(from: uri, id: $0) }, credentials: credentials,
            until: .now + LegacySession.askTimeout)
        backend.loop.spawn { _ = try? await call.answer() }
    }

    /// Whether the server can tell something on its own account: the GET stream is there, or is being opened for longer
    /// than a server takes that has none.
    package func hasPushChannel() async -> Bool { await pushStream?.isOffered() ?? false }

    /// Goes on with the stream of a request that ended before the response.
    func resume(_ resumption: StreamResumption, credentials: Credentials, until end: Instant) -> BackendExchange {
        BackendExchange(
            head(.get).message(credentials, lastEventID: resumption.lastEventID), to: backend, patience: .until(end),
            isRepeatable: true)
    }

    var loop: Loop { backend.loop }

    // MARK: Tools

    /// The arguments of the server's tools that clients repeat in headers; nil until somebody has listed the tools, and
    /// after a change of them.
    package var readyHeaderParameters: HeaderParameters? { tools.known?.headerParameters }

    /// Whether the server says that a second call of the tool with this name, in UTF-8, changes nothing beyond the first.
    /// False where that is not known.
    package func toolMayBeRepeated(_ name: [UInt8]) -> Bool { tools.known?.mayBeRepeated(name) == true }

    /// How often the tools have changed: to be noted before they are listed, for ``learn(_:asOf:)``.
    package var toolsVersion: Int { tools.version }

    /// Takes note of what a list of all tools says.
    package func learn(_ facts: ToolFacts, asOf version: Int) { tools.learn(facts, asOf: version) }

    /// A notification of the server.
    ///
    /// - Parameter call: the one on whose stream it came; nil for the GET stream.
    func hear(_ notification: Envelope, on call: LegacyCall?) {
        let kind = ServerNotification(notification)
        switch kind {
        case .progress(let id):
            // The token says whose it is, on whichever stream it comes; some servers send all of it by GET.
            if let call, call.id == id { call.hear(notification, kind) } else { calls[id]?.hear(notification, kind) }
        case .logMessage, .other:
            // By GET it could be about the call of anybody who shares the session.
            call?.hear(notification, kind)
        case .toolsListChanged, .promptsListChanged, .resourcesListChanged, .resourceUpdated:
            if kind == .toolsListChanged { tools.invalidate() }
            if let cue = Cue(kind) { onCue?(cue) }
        case .notForClients, .malformed:
            break
        }
    }

    private func nextRequestID() -> Int {
        lastRequestID += 1
        return lastRequestID
    }

    private func post(
        _ body: some HTTPBody, credentials: Credentials, trace: TraceContext? = nil, until end: Instant,
        isRepeatable: Bool
    ) -> BackendExchange {
        BackendExchange(
            postHead.message(credentials, body: body, trace: trace), to: backend, patience: .until(end),
            isRepeatable: isRepeatable)
    }

    private func head(_ method: HTTPMethod) -> RequestHead {
        RequestHead(method: method, backend: backend, sessionID: sessionID, revision: handshake.revision)
    }

    /// Sends a notification or a response; the server has nothing to say to it but 202.
    func notify(_ text: [UInt8], credentials: Credentials) async throws(BackendError) {
        let exchange = post(text, credentials: credentials, until: .now + backend.limits.silence, isRepeatable: true)
        defer { exchange.abandon() }
        let head = try await exchange.head()
        guard (200..<300).contains(head.status) else {
            throw BackendError(.unavailable, "the server answered a notification with HTTP \(head.status)")
        }
    }

    /// Sends a notification when nobody waits for it to arrive.
    func notifyInBackground(_ text: [UInt8], credentials: Credentials) {
        notifying += 1
        backend.loop.spawn {
            try? await self.notify(text, credentials: credentials)
            self.notifying -= 1
            self.notified.open()
        }
    }

    /// The messages in what the server sent at once.
    func read(_ text: [UInt8]) throws -> BackendMessages {
        try BackendMessages(text, revision: handshake.revision, maxDepth: backend.limits.maxDepth)
    }

    /// Answers a request of the server: `ping` as it asks, and everything else with "method not found", because no
    /// capability was declared that would allow it.
    func answer(_ request: Envelope, credentials: Credentials) {
        guard case .request(let id, let method) = request.kind, answersUnderWay < LegacySession.maxAnswers else {
            return
        }
        let rawID = request.document.raw(id)
        let text =
            if request.document.string(method, equals: "ping") {
                ServerRequest.emptyResult(id: rawID)
            } else {
                ServerRequest.methodNotFound(id: rawID)
            }
        answersUnderWay += 1
        backend.loop.spawn {
            try? await self.notify(text, credentials: credentials)
            self.answersUnderWay -= 1
        }
    }

    /// Whether an answer that is no success says that the server has lost the session.
    func isLoss(_ head: HTTPResponseHead, of exchange: BackendExchange) async -> Bool {
        guard sessionID != nil else { return false }
        return SessionLoss.isLoss(head, text: await exchange.errorBody())
    }

    /// Whether the server still answers on this session: what one asks when an answer leaves that in doubt. However many
    /// ask at once, one `ping` is sent.
    func isAlive(_ credentials: Credentials) async -> Bool {
        guard sessionID != nil else { return true }
        if let pinging {
            await pinging.wait()
            return wasAlive
        }
        let gate = Gate()
        pinging = gate
        wasAlive = await ping(credentials)
        pinging = nil
        gate.open()
        return wasAlive
    }

    private func ping(_ credentials: Credentials) async -> Bool {
        let id = nextRequestID()
        let exchange = post(
            ServerRequest.ping(id: id), credentials: credentials, until: .now + LegacySession.askTimeout,
            isRepeatable: false)
        defer { exchange.abandon() }
        do throws(BackendError) {
            try await exchange.begun()
            guard exchange.isSuccess else { return false }
            // Whatever it says to it, it says it on this session.
            return try await exchange.next() != nil
        } catch {
            // A server that cannot be reached may be back, with the session or without: the next call will tell.
            return error.kind == .unavailable
        }
    }

    // MARK: The GET stream

    private func openPushStream() {
        let head = head(.get)
        let stream = PushStream(session: self, backend: backend) { [credentials] lastEventID in
            head.message(credentials, lastEventID: lastEventID)
        }
        pushStream = stream
        backend.loop.spawn { await stream.run() }
    }

    // MARK: Closing

    /// Ends the session on the server too, as far as it lets us (405 is a fine answer).
    /// The credentials are those of the handshake: nobody's call causes it.
    func close() async {
        guard !isClosed else { return }
        isClosed = true
        pushStream?.stop()
        guard sessionID != nil else { return }
        while notifying > 0 { await notified.wait() }
        // The whole server ends where a DELETE finds that SDK at work on a cancellation.
        if hasCancelled { await Pause(on: backend.loop).wait(LegacySession.restAfterCancellation) }
        let exchange = BackendExchange(
            head(.delete).message(credentials), to: backend,
            patience: .until(.now + LegacySession.closeTimeout), isRepeatable: true)
        _ = try? await exchange.head()
        exchange.abandon()
    }

    /// The GET stream found the session gone.
    func lost() { onLoss?() }

    /// The GET stream is back, and what was said meanwhile is lost.
    func unheard() { onGap?() }

    /// A message on the GET stream.
    func hear(_ text: [UInt8]) {
        // What is no message here belongs to nobody's call, and is dropped.
        guard let messages = try? read(text) else { return }
        for message in messages {
            switch message.kind {
            case .request: answer(message, credentials: credentials)
            case .notification: hear(message, on: nil)
            case .response: break
            }
        }
    }

    /// Forgets the session, which the server has lost.
    func forget() {
        isClosed = true
        pushStream?.stop()
    }
}
