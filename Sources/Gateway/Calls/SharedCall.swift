import HTTPTransport
import HTTPWire
import JSONText
import Legacy
import MCP
import Reactor
import Translation

/// A call on a session that is shared, or what else an answer to a client needs a session for. Its client is not asked anything.
final class SharedCall: CallProgress, TranslatedCall, Answerer {
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
    init(
        _ request: ModernRequest, of source: HTTPServerRequest, from caller: Caller,
        answering clientRequest: ClientRequest, by carrier: Carrier
    ) {
        self.carrier = carrier
        self.source = source
        self.clientRequest = clientRequest
        self.request = request
        self.caller = caller
        key = carrier.key(for: request, from: caller)
        end = carrier.sessions.loop.now + carrier.requestTimeout
        super.init(isExclusive: false)
    }

    var sessions: SessionPool { carrier.sessions }
    var lists: Lists { carrier.lists }
    var questionListener: (any QuestionListener)? { nil }
    var isWanted: Bool { !hasClientLeft }
    private var responder: Responder { clientRequest.responder }

    func begin() {
        responder.begin(for: self)
        goOn()
    }

    func clientLeft() {
        hasClientLeft = true
        call?.cancel(.clientLeft)
        deserted()
    }

    // MARK: Its course

    func goOn() { advance(request) }

    func dispatch(on session: LegacySession) {
        refused = .none
        guard request.method == .discover else { return send(request, on: session) }
        sessions.loop.spawn { self.finish(await self.discover(session), .released) }
    }

    func refusal(by parameters: HeaderParameters) -> Refusal? {
        SessionRules.refusal(of: request, source.head.fields, by: parameters)
    }

    func mayRepeat(on session: LegacySession) -> Bool { SessionRules.mayRepeat(request, on: session, carrier.settings) }

    func release(_ end: CallCourse.SessionEnd) { releaseLease(end) }

    private func discover(_ session: LegacySession) async -> RequestOutcome {
        let hasPushChannel = session.handshake.announcesSomething ? await session.hasPushChannel() : false
        let text = Discover.response(
            to: request, from: session.handshake, hasPushChannel: hasPushChannel, caching: carrier.settings.caching)
        return .answered(Answer(status: 200, text: text, code: nil))
    }

    // MARK: The end

    func refused(_ refusal: Refusal) { finish(.refused(refusal), .released) }

    func answered(_ answer: LegacyAnswer, from session: LegacySession) {
        finish(outcome(of: answer, from: session.handshake.serverInfo), .released)
    }

    func failed(with error: BackendError, _ end: CallCourse.SessionEnd, wasSent: Bool) { finish(.failed(error), end) }

    private func outcome(of answer: LegacyAnswer, from serverInfo: ServerInfo) -> RequestOutcome {
        if !refused.isEmpty, answer.isFailure { return .refused(.missingCapabilities(refused, hasRun: true)) }
        do throws(BackendError) {
            return try .of(answer, from: serverInfo, answering: request, carrier.settings.caching)
        } catch {
            return .failed(error)
        }
    }

    private func finish(_ outcome: RequestOutcome, _ end: CallCourse.SessionEnd) {
        releaseLease(end)
        releaseTurn()
        clientRequest.notifications = forwarded
        carrier.end(clientRequest, outcome, of: source)
    }
}

// MARK: What the server says before it answers

extension SharedCall: CallListener {
    func heard(_ notification: Envelope, _ kind: ServerNotification) {
        // On the call's own stream there is room, or the server was made to wait. Elsewhere it cannot be.
        guard responder.hasRoom, let text = notifications.modern(notification, kind) else { return }
        forwarded += 1
        told()
        responder.send(text)
    }

    var hasRoom: Bool { responder.hasRoom }

    func room() async { await responder.room() }

    /// Only clients of calls that have a session to themselves are asked. If the call fails for want of an answer, its client
    /// hears what to declare.
    func asked(_ question: Envelope) -> Bool {
        do throws(RefusedInput) {
            _ = try InputRequest(
                question, declared: InputCapabilities(request.clientCapabilities, in: request.document))
        } catch {
            refused.formUnion(error.missing)
        }
        return false
    }
}
