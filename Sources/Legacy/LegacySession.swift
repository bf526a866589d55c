import HTTPTransport
import HTTPWire
import JSONText
import MCP
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
    private var pushStream: PushStream?
    private lazy var tools = ToolDirectory(of: self)
    private(set) var isClosed = false

    /// Called when the session itself notices that the server has lost it.
    var onLoss: (() -> Void)?

    private init(backend: Backend, handshake: Handshake, sessionID: [UInt8]?, credentials: Credentials) {
        self.backend = backend
        self.handshake = handshake
        self.sessionID = sessionID
        self.credentials = credentials
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
            .unavailable, "the server answered initialize with HTTP \(response.status); is backends[].url its endpoint?"
        )
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
    package func call(_ request: ModernRequest, credentials: Credentials, until end: Instant) -> LegacyCall {
        let id = nextRequestID()
        let text = RequestTranslation.legacy(
            request, in: RequestContext(id: id, revision: handshake.revision))
        let exchange = post(text, credentials: credentials, until: end, isRepeatable: false)
        return LegacyCall(id: id, on: self, exchange: exchange, credentials: credentials)
    }

    /// Asks for a page of the tools on the session's own account.
    ///
    /// - Parameter cursor: as the server spelled it; nil for the first page.
    func listTools(cursor: [UInt8]?, credentials: Credentials, until end: Instant) -> LegacyCall {
        let id = nextRequestID()
        let text = ServerRequest.listTools(id: id, cursor: cursor)
        let exchange = post(text, credentials: credentials, until: end, isRepeatable: false)
        return LegacyCall(id: id, on: self, exchange: exchange, credentials: credentials)
    }

    /// ``headerParameters(_:until:)``, if they are known already.
    package var readyHeaderParameters: HeaderParameters? { tools.ready }

    /// The arguments of the server's tools that clients repeat in headers. Asks the server when it does not know.
    package func headerParameters(
        _ credentials: Credentials, until end: Instant
    ) async throws(BackendError) -> HeaderParameters {
        try await tools.headerParameters(credentials, until: end)
    }

    /// A notification of the server, on whichever stream it came.
    func hear(_ notification: Envelope) {
        guard case .notification(let method) = notification.kind else { return }
        if notification.document.string(method, equals: "notifications/tools/list_changed") { tools.invalidate() }
    }

    private func nextRequestID() -> Int {
        lastRequestID += 1
        return lastRequestID
    }

    private func post(
        _ body: some HTTPBody, credentials: Credentials, until end: Instant, isRepeatable: Bool
    ) -> BackendExchange {
        BackendExchange(
            postHead.message(credentials, body: body), to: backend, patience: .until(end),
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
        backend.loop.spawn { try? await self.notify(text, credentials: credentials) }
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

    // MARK: The GET stream

    private func openPushStream() {
        let head = head(.get)
        let stream = PushStream(session: self, backend: backend, credentials: credentials) { [credentials] in
            head.message(credentials)
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
        let exchange = BackendExchange(
            head(.delete).message(credentials), to: backend,
            patience: .until(.now + LegacySession.closeTimeout), isRepeatable: true)
        _ = try? await exchange.head()
        exchange.abandon()
    }

    /// The GET stream found the session gone.
    func lost() { onLoss?() }

    /// Forgets the session, which the server has lost.
    func forget() {
        isClosed = true
        pushStream?.stop()
    }
}
