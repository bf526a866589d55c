import Crypto
import HTTPTransport
import HTTPWire
import JSONText
import Legacy
import MCP
import Reactor
import Translation

/// A call during which the server may ask the client, with a session to itself. It carries out what ``ParkedCall`` decides,
/// and outlives the requests that wait for it.
///
/// Most such calls ask nothing: until something happens that ``ParkedCall`` has to decide there is none. And while only the
/// server or the client is waited for there is no task either, unless the client reads slowly.
///
/// It is held by the request that waits for it, by the call to the server that tells it and, once its client was asked, by
/// `ParkedCalls`.
final class InteractiveCall {
    typealias Machine = ParkedCall<Ending>

    /// Requests that may wait for one call. Published clients send a retry once, and once more when a connection breaks.
    private static let maxLegs = 64

    private(set) lazy var id = CallID(random: SecureRandom.bytes)
    let method: Method
    let key: SessionKey
    let context: Interactions
    /// The call that it is another run of, because whoever had that is gone.
    let predecessor: (state: RequestState, given: GivenAnswers)?
    /// Nil until there is something to decide.
    var machine: Machine?
    /// What the machine has decided and is not done yet, and whether it is being done.
    var decided: [Machine.Action] = []
    var isActing = false

    // MARK: Who waits

    var legs: [CallLeg] = []
    /// Whoever sent the latest request: their credentials go with what is sent now.
    private(set) var caller: Caller
    /// When the latest request has waited for long enough.
    private(set) var end: Instant
    var parkedSince: Instant?
    var parked: Duration = .zero
    /// What was answered so far, for a replica that has to begin anew.
    private(set) var answers: [RequestState.Answer] = []
    /// ``RequestState/request``, from the first question on.
    var digest: [UInt8] = []

    // MARK: Where it runs

    var lease: Lease?
    /// Where the server gets only so many calls at once: from before the lease until it is given back.
    var turn: CallTurn?
    /// Another replica's, with the call in it that this one took up.
    var adopted: LegacySession?
    /// The one in which the call is.
    var session: LegacySession? { adopted ?? lease?.session }
    /// Whether another call needs its place or its session.
    var isMakingRoom = false
    /// Whether the session is not fit for another call.
    var isSpoilt = false
    /// What the server gets. Nil from the first question on: who comes back brings it again, and it may be long.
    var request: ModernRequest?
    /// What has to be known before it is sent.
    var waiter: ListWaiter?
    /// Who waits for its session.
    var sessionWaiter: SessionWaiter?
    /// What the server asked before it could be sent.
    var early: [Envelope] = []
    /// Whether it was sent, or could have been if the server had not asked before.
    var isReady = false
    /// Whether there was a moment at which nobody waited for it, before it was ready.
    var wasDeserted = false
    /// Whether it is to be sent, and waits for something before that.
    var isToBeSent = false
    var call: LegacyCall?
    var attempts = Attempts()
    /// Bytes of the server's answer.
    var responseSize = 0
    /// Whether a client heard anything of this run of the call, so that another run would tell it twice.
    var wasTold = false
    /// Whether the server may be silent, since it waits for the client.
    var isSuspended = false
    /// Answers on their way to the server, and who waits for the last of them.
    var replying = 0
    lazy var replied = Wakeup()
    var deadline: Deadline?

    /// - Parameter predecessor: of a retry whose call is lost; nil for a new call.
    init(
        _ leg: CallLeg, from caller: Caller, in context: Interactions,
        after predecessor: (state: RequestState, given: GivenAnswers)? = nil
    ) {
        self.predecessor = predecessor
        answers = predecessor?.given.answers ?? []
        method = leg.request.method
        request = leg.request
        self.caller = caller
        end = leg.end
        key = SessionKey(
            principal: caller.principal, capabilities: leg.capabilities.ofSession, roots: leg.capabilities.roots)
        self.context = context
        if let predecessor { id = predecessor.state.call }
    }

    var sessions: SessionPool { context.sessions }
    var parkTimeout: Duration { context.calls.settings.parkTimeout }
    var owner: [UInt8] { context.calls.owner }
    var hasPeers: Bool { context.hasPeers }

    /// Whether the response is there, and only kept.
    var isDone: Bool { machine?.isDone == true }

    // MARK: Requests of the client

    /// Begins the call with the request that it was made of. Nothing begins where the client of that has gone already.
    func begin(_ leg: CallLeg) {
        guard !leg.hasLeft else { return settle(.failed(.clientLeft)) }
        attach(leg)
        if predecessor == nil, startAtOnce() { return }
        sessions.loop.spawn { await self.run() }
    }

    /// Sends the call, where nothing has to be waited for before that.
    private func startAtOnce() -> Bool {
        guard let leg = legs.first, leg.request.logLevel == nil, !sessions.turns.isLimited,
            let lease = sessions.readyExclusiveLease(key, for: self)
        else { return false }
        guard isWelcome(leg, to: lease.session) else {
            sessions.release(lease)
            return false
        }
        self.lease = lease
        isReady = true
        send()
        return true
    }

    /// Whether the session, as far as it knows the server, has nothing against the call.
    private func isWelcome(_ leg: CallLeg, to session: LegacySession) -> Bool {
        guard session.knowsPushChannel, SessionRules.refusal(of: leg.request, on: session) == nil else { return false }
        guard method == .callTool else { return true }
        guard let parameters = session.readyHeaderParameters else { return false }
        return SessionRules.refusal(of: leg.request, leg.source.head.fields, by: parameters) == nil
    }

    /// A retry whose `requestState` names this call.
    func retry(_ leg: CallLeg, from caller: Caller) {
        let responses: InputResponses
        do throws(InputFlaw) {
            responses = try InputResponses(of: leg.request)
        } catch {
            return leg.finish(.refused(.wrongAnswer(error)))
        }
        guard legs.count < InteractiveCall.maxLegs else { return leg.finish(.refused(.tooManyRetries)) }
        attach(leg)
        if machine?.phase != .dispatched || isToBeSent { request = leg.request }
        if hasPeers { keepAnswers(of: leg.request) }
        self.caller = caller
        end = leg.end
        if let level = leg.request.logLevel, let session {
            sessions.loop.spawn { await session.log(from: level, credentials: caller.credentials) }
        }
        step { $0.retried(leg.machineLeg, responses, at: sessions.loop.now) }
        // It left before it came here: the same as a moment later. Its answers are delivered, and who sends it again joins.
        if leg.hasLeft { left(leg) }
    }

    private func attach(_ leg: CallLeg) {
        legs.append(leg)
        sessionWaiter?.comeBack()
        leg.call = self
    }

    /// The client of a leg went away.
    func left(_ leg: CallLeg) {
        if isReady { decide() }
        legs.removeAll { $0 === leg }
        step { $0.left(leg.id, at: sessions.loop.now) }
        guard !isReady, legs.isEmpty else { return }
        // Whoever prepares the call finds out that nobody waits for it.
        wasDeserted = true
        waiter?.cancel()
        sessionWaiter?.leave()
        turn?.clientLeft()
    }

    private func keepAnswers(of retry: ModernRequest) {
        let document = retry.document
        guard let responses = document.value("inputResponses", of: retry.params) else { return }
        let asked = (machine?.open ?? []).filter(\.isAsked).map { ($0.key, $0.request) }
        let questions = Dictionary(asked) { first, _ in first }
        for member in document.members(of: responses) {
            let key = document.name(of: member)
            guard let question = questions[key] else { continue }
            answers.append(
                RequestState.Answer(
                    key: Array(key.utf8), text: Array(document.raw(member.value)),
                    question: RequestState.digest(of: question)))
        }
        // More than a state takes: without them, the rest is worth nothing.
        if !RequestState.canHold(answers) { answers = [] }
    }
}
