import Crypto
import HTTPTransport
import HTTPWire
import JSONText
import Legacy
import MCP
import Reactor
import Translation

/// A call on a session that is shared, or what else an answer to a client needs a session for. Its client is not asked anything.
final class SharedCall: CallProgress, TranslatedCall, ResponseProducer {
    let caller: Caller
    let key: SessionKey
    let end: Instant
    private let carrier: Carrier
    /// As it came.
    private let source: HTTPServerRequest
    private let clientRequest: ClientRequest
    private let request: ModernRequest
    private var hasClientLeft = false
    private lazy var notifications = NotificationTranslation(for: request)
    /// How many notifications went to the client.
    private var forwarded = 0
    /// What the client would have had to declare for the questions of the server that were refused.
    private var refused = InputCapabilities.none

    /// - Parameters:
    ///   - source: of which `request` was made.
    ///   - clientRequest: gets what the server says before it answers, and is finished with the call.
    ///   - handleKey: of the session of a handle; nil where any session of the caller will do.
    init(
        _ request: ModernRequest, of source: HTTPServerRequest, from caller: Caller,
        answering clientRequest: ClientRequest, by carrier: Carrier, handleKey: SessionKey? = nil
    ) {
        self.carrier = carrier
        self.source = source
        self.clientRequest = clientRequest
        self.request = request
        self.caller = caller
        key = handleKey ?? carrier.sessionKey(for: request, from: caller)
        end = carrier.sessions.loop.now + carrier.requestTimeout
        super.init(isExclusive: false)
    }

    var sessions: SessionPool { carrier.sessions }
    var lists: Lists { carrier.lists }
    var questionObserver: (any QuestionObserver)? { nil }
    var isWanted: Bool { !hasClientLeft }
    private var responder: Responder { clientRequest.responder }
    private var declared: InputCapabilities { InputCapabilities(request.clientCapabilities, in: request.document) }

    func beginCall() {
        responder.beginResponse(for: self)
        continueCall()
    }

    func clientLeft() {
        hasClientLeft = true
        call?.cancelCall(.clientLeft)
        lostAllClients()
    }

    // MARK: Its course

    func continueCall() { advanceCall(request) }

    func dispatchCall(on session: LegacySession) {
        refused = .none
        guard request.method == .discover else { return sendCall(request, on: session) }
        sessions.loop.spawn { self.finishCall(await self.discoverServer(session), .released) }
    }

    func obstacle(by parameters: HeaderParameters) -> Obstacle? {
        // Of nearly all servers: nothing is made ready for what is not looked at.
        if parameters.isEmpty { return nil }
        return SessionRules.obstacle(
            to: request, source.head.fields, by: parameters, on: session, carrier.settings.tasks)
    }

    func becomesTask() -> Bool {
        guard let tasks = carrier.tasks else { return false }
        releaseLease(.released)
        releaseTurn()
        tasks.carryTask(request, of: source, from: caller, answering: clientRequest, key: key)
        return true
    }

    func promotionDelay(of request: ModernRequest) -> Duration? {
        carrier.settings.tasks.promotionDelay(of: request)
    }

    func promoteCall() -> Bool {
        // A client that has left would never hear of its task.
        guard isWanted else { return true }
        let id = CallID(random: SecureRandom.bytes)
        if let (task, serverInfo) = carrier.tasks?.promoteCall(
            self, as: id, asking: TaskQuestions(declared: declared, refused: refused))
        {
            finishCall(.task(task, from: serverInfo, answering: request), .released)
        }
        return true
    }

    func mayRepeat(on session: LegacySession) -> Bool { SessionRules.mayRepeat(request, on: session, carrier.settings) }

    func releaseAttempt(_ end: CallCourse.SessionEnd) { releaseLease(end) }

    private func discoverServer(_ session: LegacySession) async -> RequestOutcome {
        let hasPushChannel = session.handshake.announcesSomething ? await session.hasPushChannel() : false
        let text = Discover.discoverResponse(
            to: request, from: session.handshake, hasPushChannel: hasPushChannel,
            hasTasks: carrier.settings.tasks.haveTasks(with: session.handshake), caching: carrier.settings.caching)
        return .answered(ModernResponse(status: 200, text: text, code: nil))
    }

    // MARK: The end

    func finishWithRefusal(_ refusal: Refusal) { finishCall(.refused(refusal), .released) }

    func finishWithResponse(_ answer: LegacyResponse, from session: LegacySession) {
        finishCall(callOutcome(of: answer, from: session.handshake.serverInfo), .released)
    }

    func finishWithFailure(with error: BackendError, _ end: CallCourse.SessionEnd, wasSent: Bool) {
        finishCall(.ofFailure(error, answering: request, sessions.serverInfo), end)
    }

    private func callOutcome(of answer: LegacyResponse, from serverInfo: ServerInfo) -> RequestOutcome {
        if !refused.isEmpty, answer.isFailure { return .refused(.missingCapabilities(refused, hasRun: true)) }
        do throws(BackendError) {
            return try .ofResponse(answer, from: serverInfo, answering: request, carrier.settings.caching)
        } catch {
            return .failed(error)
        }
    }

    private func finishCall(_ outcome: RequestOutcome, _ end: CallCourse.SessionEnd) {
        releaseLease(end)
        releaseTurn()
        clientRequest.notifications = forwarded
        carrier.endCarriedRequest(clientRequest, outcome, of: source)
    }
}

// MARK: What the server says before it answers

extension SharedCall: CallObserver {
    func notificationArrived(_ notification: Envelope, _ kind: ServerNotification) {
        // On the call's own stream there is room, or the server was made to wait. Elsewhere it cannot be.
        guard responder.hasRoom, let text = notifications.modernNotification(notification, kind) else { return }
        forwarded += 1
        noteClientWasTold()
        responder.sendMessage(text)
    }

    var hasRoom: Bool { responder.hasRoom }

    func waitForRoom() async { await responder.waitUntilTaken() }

    /// Only clients of calls that have a session to themselves are asked. If the call fails for want of an answer, its client
    /// hears what to declare.
    func questionArrived(_ question: Envelope) -> Bool {
        do throws(RefusedInput) {
            _ = try InputRequest(question, declared: declared)
        } catch {
            refused.formUnion(error.missing)
        }
        return false
    }
}
