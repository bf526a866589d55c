import JSONText
package import MCP
package import Reactor
package import Translation

/// A session with a legacy server, from its handshake to its end, whatever carries its messages.
package final class LegacySession {
    /// Answers to the server's requests, and notifications, that may be on their way at once. Over HTTP each takes a connection,
    /// and a server that asks without end must not get one for each question.
    private static let maxSending = 64
    /// How long the end of a session waits for what is still on its way: as for its DELETE.
    private static let sendingPatience: Duration = .seconds(2)
    /// How long a server may take for what it need not think about (`ping`, `logging/setLevel`), while a call waits.
    static let askTimeout: Duration = .seconds(5)
    /// Questions that are kept until it is known whose session it is, and then until its call is sent. No server has as many.
    package static let maxEarlyQuestions = 32
    /// How long a new session waits for the server's first questions, and after one of them for others: as long as a process
    /// may take to start, and as two questions of one cause are apart.
    private static let firstPatience: Duration = .seconds(2)
    private static let furtherPatience: Duration = .milliseconds(50)
    /// Between a cancellation and the end of a session of 2025-03-26.
    private static let restAfterCancellation: Duration = .seconds(1)

    /// Whether the server was told of calls that their clients have left.
    private enum Cancellation {
        case none
        /// The server may be at work on a call that its client has left, and ask for it. Leads to `sent`.
        case begun
        /// The cancellations that waited for other calls to end are on their way.
        case sent
    }

    /// Whether the session serves calls.
    private enum Standing {
        /// Leads to `lost`, `closed`.
        case open
        /// It has noticed that the server has lost it. Leads to `closed`.
        case lost
        case closed
    }

    let transport: any SessionTransport
    /// The copy of the server that has it.
    let server: LegacyServer
    let loop: Loop
    package let handshake: Handshake
    /// Of the request that opened the session; for what the session does on its own account.
    package let credentials: Credentials
    private let requestIDs: RequestIDs
    /// Answers and notifications on their way.
    private var sendingCount = 0
    private let sending: SendingBudget.Share
    /// Opened when one of them has arrived, or has not.
    private let sent = Wakeup()
    /// What is about them may come on any way.
    private var calls = OpenCalls()
    /// Cancellations that wait for the session's other calls to end.
    private var postponed: [(text: [UInt8], credentials: Credentials)] = []
    private var cancellation = Cancellation.none
    let logging: SessionLogging
    /// Resources of which the server is being asked not to tell any more.
    var unsubscribing: [[UInt8]: Wakeup] = [:]
    private var tools = ToolDirectory()
    /// Who has its tasks.
    private var tasks = TaskObservers()
    private var standing = Standing.open
    /// What the server is being asked, to know whether it has lost it.
    var probes: [SessionProbe.Question: SessionProbe] = [:]
    /// The number of the last session of its pool that was there when this one was found to be lost; nil while it is not.
    var loss: Int?

    /// Where other replicas find it; nil: it is of this process alone.
    private(set) var place: (any SharedPlace)?
    /// Whether another replica has opened it.
    private(set) var wasJoined = false
    /// Whether another replica listens to what the server says outside any request, and tells of changes.
    private var isHeardElsewhere = false
    /// Whether one of those that share it can hear the server.
    private var hasSharedStream = false

    /// `nil` until the session is open.
    var delegate: (any LegacySessionDelegate)?
    /// Whether a subscriber waits for what the server says outside any request: the session then listens again sooner.
    package var isWatched = false
    /// The call that has the session to itself, as far as questions go.
    package internal(set) var interaction: (any QuestionObserver)?
    /// What the server asked before it was known whose session it is. Nil since then.
    private var early: [(question: Envelope, credentials: Credentials)]? = []
    /// Signalled when one of them has come.
    private let heardEarly = Wakeup()
    /// As the client capabilities stand in `initialize`.
    private let capabilities: [UInt8]
    /// How long the server may be silent where it has no work to do.
    let patience: Duration
    /// As of ``SessionKey/roots``.
    private let roots: [UInt8]

    /// Whether it serves no further call.
    package var isClosed: Bool { standing == .closed }

    /// Whether it has noticed that the server has lost it, and was not closed since.
    var isLost: Bool { standing == .lost }

    /// Whether a subscriber or a call waits for what the server says outside any request.
    var isHeardOut: Bool { isWatched || interaction != nil }

    private init(
        over transport: any SessionTransport, to backend: LegacyServer, _ handshake: Handshake, _ ids: RequestIDs,
        capabilities: [UInt8], roots: [UInt8],
        _ credentials: Credentials, _ sending: SendingBudget.Share
    ) {
        self.sending = sending
        self.capabilities = capabilities
        self.roots = roots
        self.transport = transport
        server = backend
        requestIDs = ids
        loop = backend.loop
        patience = backend.limits.handshake
        self.handshake = handshake
        self.credentials = credentials
        logging = SessionLogging(isOffered: handshake.offers(.logging))
    }

    // MARK: Opening

    /// Does the handshake: `initialize`, `notifications/initialized`, and then it listens to the server, for which it
    /// does not wait.
    ///
    /// - Parameters:
    ///   - roots: see ``SessionKey/roots``.
    ///   - credentials: header lines of the request that needs the session.
    ///   - sending: of its caller.
    ///   - abandonment: ends it before it is open.
    /// - Throws: never that the outcome is unknown: whatever becomes of a handshake, no call was sent.
    static func openSession(
        on backend: any SessionOpener, capabilities: [UInt8], roots: [UInt8], credentials: Credentials,
        sending: SendingBudget.Share, unless abandonment: Abandonment
    ) async throws(BackendError) -> LegacySession {
        do throws(BackendError) {
            let ids = backend.requestIDs
            let introduction = Introduction(
                offering: backend.offer, capabilities: capabilities, ids: ids,
                until: backend.loop.now + backend.limits.handshake, unless: abandonment)
            let (transport, handshake) = try await backend.openTransport(introduction, credentials: credentials)
            let session = LegacySession(
                over: transport, to: backend, backend.sharedHandshake(handshake, after: introduction.revision), ids,
                capabilities: capabilities, roots: roots, credentials, sending)
            let canBeAsked = session.canBeAsked
            if canBeAsked {
                // What a server asks as soon as it hears `initialized` may need the GET stream.
                transport.listenForMessages(for: session, credentials: credentials)
                if !transport.knowsPushChannel { _ = await transport.hasPushChannel() }
            }
            do throws(BackendError) {
                try await transport.sendNotification(Handshake.initialized, credentials: credentials)
            } catch {
                transport.dropSession()
                await transport.isGone()
                throw error.kind == .sessionLost ? BackendError(.unavailable, error.detail) : error
            }
            if canBeAsked {
                await session.hearFirstQuestions(of: backend)
            } else {
                transport.listenForMessages(for: session, credentials: credentials)
            }
            // Its channel may have ended while the notification was on its way.
            if session.isLost {
                transport.dropSession()
                throw BackendError(.unavailable, "the server ended the session as soon as it was made")
            }
            return session
        } catch {
            throw error.beforeDispatch(of: "initialize")
        }
    }

    /// Whether its client can be asked anything.
    private var canBeAsked: Bool { InputCapabilities(capabilities).map { !$0.isEmpty } ?? false }

    /// Waits for what the server asks as soon as it hears `initialized`, before any call: it may answer a call that overtakes the
    /// answers without knowing them. A `ping` comes back when the server has said what it had to say.
    ///
    /// A server that does one thing after the other answers the `ping` when it has its answers, so the first question ends the
    /// waiting too. One that does not answer in time is not waited for again.
    private func hearFirstQuestions(of server: LegacyServer) async {
        if server.isDeafToPing { return }
        var isAnswered = false
        let call = sendPing()
        let answered = heardEarly
        loop.spawn {
            _ = try? await call.waitForResponse()
            isAnswered = true
            answered.signal()
        }
        await heardEarly.wait(
            while: { !isAnswered && early?.isEmpty != false && !isLost }, until: loop.now + LegacySession.firstPatience,
            on: loop)
        if !isAnswered, early?.isEmpty == false {
            await heardEarly.wait(while: { !isAnswered }, until: loop.now + LegacySession.furtherPatience, on: loop)
        }
        if isAnswered {
            // What came with it, on another connection.
            await loop.nextTurn()
        } else {
            server.isDeafToPing = early?.isEmpty != false && !isLost
            call.failCall(with: .clientLeft)
        }
    }

    /// A session that another process opened, with the same server for the same client.
    func adoptSession(
        over transport: any SessionTransport, to server: LegacyServer, _ credentials: Credentials
    ) -> LegacySession {
        LegacySession(
            over: transport, to: server, handshake, server.requestIDs, capabilities: capabilities, roots: roots,
            credentials, sending)
    }

    /// A session that another process opened, and goes on with beside this one.
    ///
    /// - Parameters:
    ///   - key: of the session there and here.
    ///   - transport: to the session.
    /// - Returns: nil where what the other one has written is no handshake.
    static func joinSession(
        _ shared: SharedSession, for key: SessionKey, over transport: any SessionTransport, to server: LegacyServer,
        credentials: Credentials, sending: SendingBudget.Share
    ) -> LegacySession? {
        guard let document = try? JSONDocument(shared.handshake),
            let handshake = try? Handshake(document.root, in: document, requesting: shared.revision),
            handshake.revision == shared.revision
        else { return nil }
        let session = LegacySession(
            over: transport, to: server, server.sharedHandshake(handshake, after: server.offer), server.requestIDs,
            capabilities: key.capabilities, roots: key.roots, credentials, sending)
        session.wasJoined = true
        return session
    }

    /// What other processes have to know of it; nil where they cannot use it.
    var sharedForm: SharedSession? {
        get async {
            guard let target = transport.sharedTarget, let id = sessionID else { return nil }
            let hasStream = await transport.hasPushChannel()
            let handshake = handshake
            return SharedSession(
                server: server.name, target: target, id: id, cookies: cookieField, revision: handshake.revision,
                handshake: handshake.text, hasStream: hasStream)
        }
    }

    /// Other replicas find it there from now on.
    ///
    /// - Parameter listens: whether it listens to the server at this moment.
    func enterPlace(_ place: any SharedPlace, as shared: SharedSession, listens: Bool) {
        self.place = place
        isHeardElsewhere = shared.hasStream && !listens
        hasSharedStream = shared.hasStream
        place.enterPlace(self, shared, listens: listens)
    }

    /// A call that another process began in the session is under way here from now on.
    func takeOver(_ call: LegacyCall) { calls.insertCall(call) }

    /// Names and values of the session's cookies, as `Cookie` has them. They are secrets, as its id.
    package var cookieField: [UInt8] { transport.cookieField }

    // MARK: Calls

    /// Begins a request of a client. Its answer is awaited with `LegacyCall.waitForResponse`, and fails when it has not come at
    /// `end`.
    ///
    /// - Parameters:
    ///   - wantsProgress: whether the observer wants to hear of progress though the client did not ask for it.
    ///   - observer: hears what the server says of the request before it answers. It must outlive the call.
    package func beginCall(
        _ request: ModernRequest, credentials: Credentials, until end: Instant, wantsProgress: Bool = false,
        observer: any CallObserver
    ) -> LegacyCall {
        let id = nextRequestID()
        let text = RequestTranslation.legacyRequest(
            request, in: RequestContext(id: id, revision: handshake.revision, wantsProgress: wantsProgress))
        let call = transport.beginCall(
            text,
            LegacyCall.Terms(id: id, session: self, credentials: credentials, end: end, observer: observer),
            trace: request.trace)
        calls.insertCall(call)
        return call
    }

    /// Begins a request on the session's own account.
    func beginCall(_ text: (_ id: Int) -> [UInt8], credentials: Credentials, until end: Instant) -> LegacyCall {
        beginCall(credentials: credentials, until: end, observer: nil, trace: nil) { SplicedText(text($0)) }
    }

    /// Begins a request that is not a client's as it came.
    ///
    /// - Parameters:
    ///   - observer: hears what the server says of it before it answers. It must outlive the call.
    ///   - trace: that of the client's request behind it.
    func beginCall(
        credentials: Credentials, until end: Instant, observer: (any CallObserver)?, trace: TraceContext?,
        _ text: (_ id: Int) -> SplicedText
    ) -> LegacyCall {
        let id = nextRequestID()
        let call = transport.beginCall(
            text(id),
            LegacyCall.Terms(id: id, session: self, credentials: credentials, end: end, observer: observer),
            trace: trace)
        calls.insertCall(call)
        return call
    }

    func callEnded(_ call: LegacyCall) {
        calls.removeCall(call)
        if calls.isEmpty, !postponed.isEmpty { sendPostponed() }
    }

    /// Cancels a request on the server.
    func cancelRequest(_ requestID: Int, reason: String, credentials: Credentials) {
        if cancellation == .none { cancellation = .begun }
        // It would come when the call has ended.
        guard transport.hearsDuringCalls else { return giveUpSession() }
        let text = ServerRequest.cancelNotification(requestID: requestID, reason: reason)
        guard endsByCancellation else {
            notifyInBackground(text, credentials: credentials)
            if transport.isSequential { giveUpSession() }
            return
        }
        // The Python SDK of that time breaks a session by a cancellation, with every call in it: from then on it answers
        // 200 and a broken stream. So the others come to their end first, and new ones go elsewhere.
        postponed.append((text, credentials))
        if calls.isEmpty { sendPostponed() }
        giveUpSession()
    }

    /// Whether a cancellation ends the session with every call in it.
    var endsByCancellation: Bool { handshake.revision == .v2025_03_26 }

    private func sendPostponed() {
        cancellation = .sent
        for (text, credentials) in postponed { notifyInBackground(text, credentials: credentials) }
        postponed = []
    }

    func nextRequestID() -> Int { requestIDs.nextID() }

    /// Sends a notification without waiting for it to arrive. If there is no room for it, it is not sent: the server takes none
    /// of those before it.
    private func notifyInBackground(_ text: [UInt8], credentials: Credentials) {
        if !sendInBackground(text, credentials: credentials) { giveUpSession() }
    }

    /// Returns whether there was room for it.
    @discardableResult private func sendInBackground(_ text: [UInt8], credentials: Credentials) -> Bool {
        guard beginSending() else { return false }
        loop.spawn {
            try? await self.transport.sendNotification(text, credentials: credentials)
            self.endSending()
        }
        return true
    }

    private func beginSending() -> Bool {
        guard sendingCount < LegacySession.maxSending, sending.takeRoom() else { return false }
        sendingCount += 1
        return true
    }

    private func endSending() {
        sending.releaseRoom()
        sendingCount -= 1
        sent.signal()
    }

    /// Whether what carries the session has ended.
    var isOver: Bool { transport.isOver }

    /// Sends an answer to a question, or whatever else the server has nothing to say to.
    package func sendNotification(_ text: [UInt8], credentials: Credentials) async throws(BackendError) {
        guard beginSending() else { throw LegacySession.takesNothing }
        defer { endSending() }
        try await transport.sendNotification(text, credentials: credentials)
    }

    static let takesNothing = BackendError(
        .busy, "the server has not taken those before it, and there is no room for more of them")

    /// Whether the server can tell something on its own account.
    package func hasPushChannel() async -> Bool {
        if isHeardElsewhere { return true }
        return await transport.hasPushChannel()
    }

    /// Whether ``hasPushChannel()`` would answer at once.
    package var knowsPushChannel: Bool { isHeardElsewhere || transport.knowsPushChannel }

    /// The server's name of the session, a secret; nil where it keeps none, or where the session is its connection.
    package var sessionID: [UInt8]? { transport.sessionID }

    /// How often a stream of the session was taken up again where it broke off: each time, what came before may come once more.
    package var resumptions: Int { transport.resumptions }

    /// Whether the server keeps a session at all. One that does not can hardly tell whose question an answer is to.
    package var isKept: Bool { transport.isKept }

    // MARK: Tools

    /// The arguments of the server's tools that clients repeat in headers; `nil` until the tools were listed, and after a change
    /// of them.
    package var readyHeaderParameters: HeaderParameters? { tools.known?.headerParameters }

    /// Whether the server says that a second call of the tool with this name, in UTF-8, changes nothing beyond the first.
    /// False where that is not known.
    package func toolMayBeRepeated(_ name: [UInt8]) -> Bool { tools.known?.mayBeRepeated(name) == true }

    /// What the last list of the tools says of them; `nil` as of ``readyHeaderParameters``.
    package var readyTools: ToolFacts? { tools.known }

    /// How often the tools have changed: to be noted before they are listed, for ``learn(_:asOf:)``.
    package var toolsVersion: Int { tools.version }

    /// Takes note of what a list of all tools says.
    package func rememberTools(_ facts: ToolFacts, asOf version: Int) { tools.storeFacts(facts, asOf: version) }

    /// The tools may be others now.
    func toolsChanged() { tools.forgetTools() }

    // MARK: What the server says

    /// The messages in what the server sent at once.
    func readMessages(_ text: [UInt8]) -> ServerMessages {
        let messages = ServerMessages(text, revision: handshake.revision, maxDepth: server.limits.maxDepth)
        if let flaw = messages.flaw { transport.passedOver.noteSkipped(text.count, because: flaw.words) }
        return messages
    }

    /// What came on no request's account.
    func receiveText(_ text: [UInt8]) { for message in readMessages(text) { receiveMessage(message, on: nil) } }

    /// A message of the server that is not the response to `call`.
    ///
    /// - Parameters:
    ///   - call: the one on whose account it came; nil if that cannot be told by the way it came.
    ///   - credentials: for the answer to a request; nil for those of the handshake.
    func receiveMessage(_ message: Envelope, on call: LegacyCall?, credentials: Credentials? = nil) {
        switch message.kind {
        case .request:
            let credentials = credentials ?? self.credentials
            if tasks.keepQuestion(message, isUnnamed: call == nil, credentials) { return }
            answerQuestion(message, for: questionObserver(of: message, on: call), credentials: credentials, on: call)
        case .notification: hearNotification(message, on: call)
        case .response, .unclear:
            // A server may answer on any open stream of the session. The id tells which request.
            guard let number = message.answeredRequest, let waiting = calls[Int(number)] else { return }
            if waiting !== call { waiting.responseArrivedElsewhere(message.document.bytes) }
        }
    }

    /// Whom a question is for. A task is named by it, or by what came before; else it is about the call on whose account it comes.
    private func questionObserver(of question: Envelope, on call: LegacyCall?) -> (any CallObserver)? {
        if let observer = tasks.observer(of: question) { return observer }
        if let call { return call.terms.observer }
        return tasks.announcedObserver(of: question) ?? interaction ?? onlyObserver
    }

    /// Whose call a question is about that comes on no call's account: of the only one that the server can be at work on.
    private var onlyObserver: (any CallObserver)? {
        guard cancellation == .none, let call = calls.only, !call.isOver else { return nil }
        return call.terms.observer
    }

    /// Nothing comes any more but in answers to requests.
    func cannotBeHeard() { for call in calls.all { call.cannotBeAnsweredElsewhere() } }

    private func hearNotification(_ notification: Envelope, on call: LegacyCall?) {
        let kind = ServerNotification(notification)
        switch kind {
        case .progress(let id):
            // The token tells the call, on any way; some servers send all progress on the GET stream.
            if let call, call.id == id {
                call.notificationArrived(notification, kind)
            } else {
                calls[id]?.notificationArrived(notification, kind)
            }
        case .logMessage where call == nil:
            // It could be about the call of anybody who shares the session, unless one has it to itself.
            interaction?.notificationArrived(notification, kind)
        case .logMessage, .other:
            call?.notificationArrived(notification, kind)
        case .questionWithdrawn(let id):
            early?.removeAll { $0.question.isRequest(withID: id) }
            interaction?.questionWithdrawn(id)
            tasks.questionWithdrawn(id)
        case .elicitationCompleted(let id):
            interaction?.elicitationCompleted(id)
            tasks.elicitationCompleted(id)
        case .toolsListChanged, .promptsListChanged, .resourcesListChanged, .resourceUpdated:
            if kind == .toolsListChanged { tools.forgetTools() }
            if let notice = ChangeNotice(kind) { delegate?.changeNoticeArrived(notice) }
        case .taskStatus(let task): tasks.taskArrived(task)
        case .notForClients: break
        case .malformed:
            transport.passedOver.noteSkipped(
                notification.document.bytes.count, because: "a notification without what its method demands")
        }
    }

    /// A task of the session is this observer's from now on: questions that name it are asked there. The session holds on to it until
    /// ``forgetTask(_:)``.
    ///
    /// - Parameter id: the server's, in UTF-8.
    package func claimTask(_ id: [UInt8], for observer: any TaskObserver) {
        for early in tasks.insertObserver(observer, for: id) {
            answerQuestion(early.question, for: observer, credentials: early.credentials)
        }
    }

    /// A task is about to be made in the session, whose questions may come before its answer.
    package func expectTask() { tasks.expectTask() }

    /// The task is there, or will never be.
    package func expectTaskNoLonger() {
        for early in tasks.expectTaskNoLonger() {
            answerQuestion(early.question, for: interaction ?? onlyObserver, credentials: early.credentials)
        }
    }

    package func forgetTask(_ id: [UInt8]) { tasks.removeTask(id) }

    /// Sets the call that receives questions sent outside any request, including those kept so far. `nil`: none.
    package func setInteraction(for owner: (any QuestionObserver)?) {
        interaction = owner
        guard let questions = early.take() else { return }
        for (question, credentials) in questions { answerQuestion(question, for: owner, credentials: credentials) }
    }

    /// Answers a request of the server. `ping` gets its result. A question without a client to ask gets the answer of a client
    /// without a user, or "method not found" if no declared capability allows the question.
    ///
    /// - Parameters:
    ///   - observer: of the call that the question is about.
    ///   - call: that call, where it is known; it fails where the answer cannot be sent, since it would wait for ever.
    package func answerQuestion(
        _ request: Envelope, for observer: (any CallObserver)?, credentials: Credentials, on call: LegacyCall? = nil
    ) {
        guard case .request(let id, let method) = request.kind else { return }
        let rawID = request.document.raw(id)
        if request.document.string(method, equals: "ping") {
            // Where there is no room for it, the call goes on: a server that sends so many does not wait for each.
            sendInBackground(ServerRequest.emptyResult(id: rawID), credentials: credentials)
            return
        }
        call?.wasHeardOf = true
        if !roots.isEmpty, request.document.string(method, equals: "roots/list") {
            return sendReply(ServerRequest.resultResponse(roots, id: rawID), credentials: credentials, on: call)
        }
        if observer == nil, let count = early?.count, count < LegacySession.maxEarlyQuestions {
            early?.append((request, credentials))
            heardEarly.signal()
            return
        }
        if observer?.questionArrived(request) == true { return }
        sendReply(
            nobodysAnswer(to: request) ?? ServerRequest.methodNotFound(id: rawID), credentials: credentials, on: call)
        delegate?.questionHadNoClient()
    }

    /// The answer to a question that no client was asked; `nil` if the client's capabilities do not allow the question.
    private func nobodysAnswer(to question: Envelope) -> [UInt8]? {
        guard let declared = InputCapabilities(capabilities) else { return nil }
        return try? InputRequest(question, declared: declared).leftover
    }

    private func sendReply(_ text: [UInt8], credentials: Credentials, on call: LegacyCall?) {
        if sendInBackground(text, credentials: credentials) { return }
        call?.failCall(
            with: BackendError(
                .outcomeUnknown, "an answer did not reach the server: \(LegacySession.takesNothing.detail)"))
    }

    // MARK: Closing

    /// Ends the session on the server too, unless other replicas use it.
    func closeSession() async {
        guard !isClosed else { return await transport.isGone() }
        standing = .closed
        transport.stopListening()
        await sent.wait(while: { sendingCount > 0 }, until: loop.now + LegacySession.sendingPatience, on: loop)
        if let place, await !place.leavePlace() { return transport.dropSession() }
        // The whole server ends where a DELETE finds that SDK at work on a cancellation.
        if cancellation == .sent { await Pause(on: loop).waitFor(LegacySession.restAfterCancellation) }
        await transport.endSession()
    }

    /// The transport found the session gone.
    func sessionLost() {
        if standing == .open { standing = .lost }
        delegate?.sessionWasLost()
    }

    /// No further call is to use the session, though the server may still know it.
    func giveUpSession() { delegate?.sessionWasGivenUp() }

    /// What the server has said for a while is lost. It can be heard again, or never more: see ``hasPushChannel()``.
    func noteGap() { delegate?.serverWasUnheard() }

    /// Forgets the session, which the server has lost.
    func forgetSession() {
        standing = .closed
        transport.dropSession()
    }
}

extension LegacySession: SharedSessionUser {
    package func listenToStream(_ listens: Bool) {
        guard standing == .open else { return }
        isHeardElsewhere = hasSharedStream && !listens
        if listens {
            transport.listenForMessages(for: self, credentials: credentials)
            streamHasMoved()
        } else {
            transport.stopListening()
        }
    }

    package func streamHasMoved() { if standing == .open { noteGap() } }

    package func sessionWasReplaced() { delegate?.sessionWasReplaced() }
}
