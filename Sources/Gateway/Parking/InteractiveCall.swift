import Crypto
import HTTPTransport
import HTTPWire
import JSONText
import Legacy
import MCP
import Reactor
import Telemetry
import Translation

/// A call during which the server may ask the client, with a session to itself. It outlives the requests that wait for it, which are
/// its legs.
///
/// ``CallCourse`` decides how it is sent, and ``ParkedCall`` about questions and legs. Most such calls ask nothing: until something
/// happens that ``ParkedCall`` has to decide there is none.
///
/// It is held by the request that waits for it, by the call to the server that tells it and, once its client was asked, by
/// `ParkedCalls`.
final class InteractiveCall: CallProgress {
    typealias Machine = ParkedCall<Ending>

    /// Requests that may wait for one call. Published clients send a retry once, and once more when a connection breaks.
    private static let maxLegs = 64
    /// Bytes of the questions that are kept until the call is prepared: as many as may be open.
    private static let maxEarlyBytes = 4 << 20
    /// How long a server that keeps no sessions may be silent after an answer. Most of them lose it, and would be silent for
    /// ever; those that do not go on at once.
    private static let sessionlessSilence: Duration = .seconds(10)

    private(set) lazy var id = CallID(random: SecureRandom.bytes)
    let key: SessionKey
    private let method: Method
    private let context: Interactions
    /// The call that it is another run of, because the replica that had it is gone.
    private let predecessor: (state: RequestState, given: GivenAnswers)?
    /// Nil until there is something to decide.
    private var machine: Machine?
    /// What the machine has decided and is not done yet, and whether it is being done.
    private var decided: [Machine.Action] = []
    private var isActing = false

    // MARK: Who waits

    private var legs: [CallLeg] = []
    /// Of the latest request: its credentials go with what is sent now.
    private(set) var caller: Caller
    /// When the latest request has waited for long enough.
    private(set) var end: Instant
    private var parkedSince: Instant?
    private var parked: Duration = .zero
    /// What was answered so far, for a replica that has to begin anew.
    private var answers: [RequestState.Answer] = []
    /// ``RequestState/request``, from the first question on.
    private var digest: [UInt8] = []

    // MARK: Where it runs

    /// Another replica's session, with the call in it that this one took up.
    private var adopted: LegacySession?
    /// Whether another call needs its place or its session.
    private var isMakingRoom = false
    /// What becomes of its session when ``machine`` lets go of it.
    private var sessionEnd = CallCourse.SessionEnd.released
    /// What the server gets. Nil from the first question on: a retry brings it again, and it may be long.
    private var request: ModernRequest?
    /// What the server asked before the call was prepared.
    private var early: [Envelope] = []
    /// Bytes of the server's answer.
    private var responseSize = 0
    /// Whether the server may be silent, since it waits for the client.
    private var isSuspended = false
    /// Answers on their way to the server.
    private var replying = 0
    /// Signalled when one of them has arrived.
    private lazy var replied = Wakeup()
    private var deadline: Deadline?

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
        super.init(isExclusive: true)
        if let predecessor { id = predecessor.state.call }
    }

    // MARK: Requests of the client

    /// Begins the call with the request that it was made of. Nothing begins where the client of that has gone already.
    func begin(_ leg: CallLeg) {
        guard !leg.hasLeft else { return settle { _ in .failed(.clientLeft) } }
        attach(leg)
        goOn()
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
        if machine?.phase != .dispatched || course.step != .answer { request = leg.request }
        if context.hasPeers { keepAnswers(of: leg.request) }
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
        returned()
        leg.call = self
    }

    /// The client of a leg went away.
    func left(_ leg: CallLeg) {
        if course.isPrepared { decide() }
        legs.removeAll { $0 === leg }
        step { $0.left(leg.id, at: sessions.loop.now) }
        if legs.isEmpty, !course.isPrepared { deserted() }
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

    /// A request that waits for a page is answered within its own time.
    private var times: ParkingTimes {
        var times = ParkingTimes(park: context.calls.settings.parkTimeout)
        times.browser = min(times.browser, context.settings.requestTimeout / 2)
        return times
    }

    private func leg(_ id: Int) -> CallLeg? { legs.first { $0.id == id } }

    // MARK: What the machine decides

    /// From now on it is ``machine`` that decides. Until now nothing has happened since the call was sent.
    private func decide() {
        guard machine == nil, let session = lease?.session, let leg = legs.first else { return }
        machine = Machine(
            leg.machineLeg, phase: .dispatched, revision: session.handshake.revision,
            times: times)
    }

    /// Tells the machine of an event, and does what it says. What comes of that for the machine is done afterwards, in the order
    /// in which it was decided.
    private func step(_ event: (inout Machine) -> [Machine.Action]) {
        guard var machine = machine.take() else { return }
        let wasDone = machine.isDone
        decided += event(&machine)
        let isDone = machine.isDone
        self.machine = machine
        if isDone { request = nil }
        if isDone, !wasDone { context.calls.numbers.finished += 1 }
        if !isActing {
            isActing = true
            while !decided.isEmpty {
                let actions = decided
                decided = []
                for action in actions { perform(action) }
            }
            isActing = false
        }
        if isDone, !wasDone { context.calls.done(id, size: responseSize) }
        adjust()
    }

    private func perform(_ action: Machine.Action) {
        switch action {
        case .reply(let text): reply(text)
        case .ask(let waiting, let questions, let round): ask(waiting, questions, round)
        case .forward(let waiting, let heard): for leg in waiting { self.leg(leg.id)?.hear(heard) }
        case .finish(let waiting, let outcome): for leg in waiting { finish(leg.id) { self.outcome(outcome, for: $0) } }
        case .reject(let leg, let rejection): finish(leg.id) { self.outcome(rejection, for: $0) }
        case .cancel: abandon()
        case .dispatch: sendAgain()
        case .release: releaseAll(sessionEnd)
        case .discardSession: releaseAll(.givenUp)
        case .warn(let rounds):
            context.log.write(.warning, "interaction_rounds") { line in
                line.field("rounds", rounds)
                line.field("principal", key.principal.short)
            }
        case .forget: context.calls.forget(id)
        }
    }

    /// Sets the time for what the machine waits for, and lets the server be silent while it waits for the client.
    private func adjust() {
        guard let machine else { return }
        if let due = machine.deadline {
            let deadline = self.deadline ?? makeDeadline()
            deadline.set(due)
        } else {
            deadline?.set(nil)
        }
        context.calls.spare(id, machine.isSpare)
        context.spare(self, machine.isSpare && lease != nil)
        let now = sessions.loop.now
        if legs.isEmpty {
            if parkedSince == nil { parkedSince = now }
        } else if let since = parkedSince.take() {
            parked += now - since
        }
        let isWaitedFor = !machine.open.isEmpty || legs.isEmpty
        guard isWaitedFor != isSuspended else { return }
        isSuspended = isWaitedFor
        if isWaitedFor {
            call?.suspend()
        } else {
            let isKept = session?.isKept ?? true
            call?.goOn(until: end, silence: isKept ? nil : InteractiveCall.sessionlessSilence)
        }
    }

    private func makeDeadline() -> Deadline {
        let deadline = Deadline(on: sessions.loop)
        // It is this object's own, and fires no more when that is gone.
        deadline.onExpiry = { [unowned self] in step { $0.tick(at: sessions.loop.now) } }
        self.deadline = deadline
        return deadline
    }

    /// Gives up its place and its session for another call, unless a client waits for it.
    func makeRoom() {
        context.spare(self, false)
        isMakingRoom = true
        step { $0.makeRoom() }
    }

    private func reply(_ text: [UInt8]) {
        guard let session else { return }
        let call = call
        replying += 1
        sessions.loop.spawn { [caller] in
            do throws(BackendError) {
                try await session.notify(text, credentials: caller.credentials)
            } catch {
                call?.fail(with: BackendError(.outcomeUnknown, "an answer did not reach the server: \(error.detail)"))
            }
            self.replying -= 1
            self.replied.signal()
        }
    }

    private func abandon() {
        call?.askToStop(BackendError(.cancelled, "the client went away, or did not come back"))
        guard let machine, machine.round > 0 else { return }
        context.calls.numbers.abandoned += 1
        context.log.write(.info, "interaction_abandoned") { line in
            line.field("method", method.name)
            line.field("principal", key.principal.short)
            line.field("rounds", machine.round)
            line.field("reason", isMakingRoom ? "room_needed" : "nobody_came_back")
        }
    }

    // MARK: Answering

    private func ask(_ waiting: [Machine.Leg], _ questions: [Machine.Question], _ round: Int) {
        if let request = request.take() { digest = RequestState.digest(of: request) }
        guard let machine, !digest.isEmpty, let serverInfo = session?.handshake.serverInfo ?? sessions.serverInfo else {
            context.log.internalError("a client is to be asked by no server, or of no request")
            return waiting.forEach { finish($0.id) { .lost($0.request, nil) } }
        }
        context.calls.numbers.rounds += 1
        context.calls.numbers.questions += questions.count
        told()
        let state = context.sealed(requestState(machine), for: caller)
        for leg in waiting {
            self.leg(leg.id)?.questions = questions.count
            finish(leg.id) { leg in
                let text = MultiRoundTrip.inputRequired(
                    questions.map { ($0.key, $0.request) }, requestState: state, serverInfo: serverInfo.text,
                    answering: leg.request)
                return .answered(Answer(status: 200, text: SplicedText(text), code: nil))
            }
        }
    }

    /// What its client is to carry.
    private func requestState(_ machine: Machine) -> RequestState {
        let now = UnixTime.now
        let parkTimeout = context.calls.settings.parkTimeout
        // A response that comes at the end of this time is kept for as long again.
        return RequestState(
            issued: now, expires: now + parkTimeout + parkTimeout, principal: RequestState.principal(of: caller),
            request: digest, call: id, phase: machine.phase, round: UInt16(clamping: machine.round),
            owner: context.calls.owner, resumption: resumption(machine))
    }

    /// What another replica needs to go on with the call; nil where none could.
    private func resumption(_ machine: Machine) -> RequestState.Resumption? {
        let eventID = call?.lastEventID
        guard eventID != nil || context.hasPeers, let session else { return nil }
        return RequestState.Resumption(
            sessionID: session.sessionID ?? [], cookies: session.cookieField, revision: session.handshake.revision,
            legacyRequestID: UInt64(call?.id ?? 0), lastEventID: eventID ?? [],
            pending: machine.open.map { question in
                RequestState.Pending(
                    key: Array(question.key.utf8), legacyID: question.request.legacyID ?? [],
                    kind: question.request.kind, question: RequestState.digest(of: question.request))
            },
            answers: answers)
    }

    private func finish(_ legID: Int, _ outcome: (CallLeg) -> RequestOutcome) {
        guard let leg = leg(legID) else { return }
        legs.removeAll { $0 === leg }
        leg.rounds = machine?.round ?? 0
        leg.parked = parked
        leg.finish(outcome(leg))
    }

    private func outcome(_ outcome: Machine.Outcome, for leg: CallLeg) -> RequestOutcome {
        switch outcome {
        case .answered(let ending): ending.outcome(for: leg.request, context.settings, sessions.serverInfo)
        case .missingCapabilities(let missing): .refused(.missingCapabilities(missing, hasRun: true))
        case .declined: .declined(leg.request, sessions.serverInfo)
        }
    }

    private func outcome(_ rejection: Machine.Rejection, for leg: CallLeg) -> RequestOutcome {
        switch rejection {
        case .wrongAnswer(let flaw): return .refused(.wrongAnswer(flaw))
        case .missingCapabilities(let missing): return .refused(.missingCapabilities(missing, hasRun: false))
        case .lost:
            context.calls.numbers.lost += 1
            return .lost(leg.request, sessions.serverInfo)
        case .full: return .refused(.tooManyParked(hasRun: false))
        }
    }

    // MARK: The end

    /// Ends the call without a machine, or as one that there is nothing to decide of any more.
    private func settle(_ end: CallCourse.SessionEnd = .released, _ outcome: (CallLeg) -> RequestOutcome) {
        let waiting = legs
        legs = []
        releaseAll(end)
        for leg in waiting { leg.finish(outcome(leg)) }
        if predecessor != nil { context.calls.forget(id) }
    }

    /// Ends the call by its outcome.
    private func complete(_ ending: Ending, _ end: CallCourse.SessionEnd = .released) {
        guard machine != nil else {
            return settle(end) { ending.outcome(for: $0.request, context.settings, sessions.serverInfo) }
        }
        sessionEnd = end
        step { $0.finished(ending, isFailure: ending.isFailure, at: sessions.loop.now) }
    }

    /// Gives back its session and its turn.
    private func releaseAll(_ end: CallCourse.SessionEnd) {
        release(end)
        releaseTurn()
    }

    /// Ends the call: the process is about to stop.
    func stop() {
        deadline?.set(nil)
        context.spare(self, false)
        call?.cancel(BackendError(.cancelled, "Remora stops"))
        releaseAll(.givenUp)
    }
}

// MARK: Its course

extension InteractiveCall: TranslatedCall {
    var sessions: SessionPool { context.sessions }
    var lists: Lists { context.lists }
    var questionListener: (any QuestionListener)? { self }
    var isWanted: Bool { !legs.isEmpty }
    var session: LegacySession? { adopted ?? lease?.session }

    func goOn() {
        guard let request else { return failed(withoutRequest()) }
        advance(request)
    }

    func refusal(by parameters: HeaderParameters) -> Refusal? {
        guard let leg = legs.first, let request else { return nil }
        return SessionRules.refusal(of: request, leg.source.head.fields, by: parameters)
    }

    func mayRepeat(on session: LegacySession) -> Bool {
        request.map { SessionRules.mayRepeat($0, on: session, context.settings) } ?? false
    }

    /// The session is there, and everything is known.
    func dispatch(on _: LegacySession) {
        guard let predecessor, machine == nil else { return start() }
        sessions.loop.spawn { await self.goOn(after: predecessor.state, predecessor.given) }
    }

    /// Asks what the server asked meanwhile, or sends the call.
    private func start() {
        guard let session, let leg = legs.first else { return failed(.clientLeft) }
        guard mayRun(on: session) else {
            context.calls.numbers.lost += legs.count
            return settle { .lost($0.request, sessions.serverInfo) }
        }
        let revision = session.handshake.revision
        if machine == nil, let predecessor {
            machine = Machine(
                successor: legs.map(\.machineLeg), round: Int(predecessor.state.round), predecessor.given,
                revision: revision, times: times, at: sessions.loop.now)
        } else if machine == nil, !early.isEmpty {
            machine = Machine(leg.machineLeg, phase: .predispatch, revision: revision, times: times)
        }
        held()
        let questions = early
        early = []
        if !questions.isEmpty { machine?.notSent() }
        for question in questions where !asked(question) {
            session.answer(question, for: nil, credentials: caller.credentials)
        }
        guard machine?.open.isEmpty ?? true else { return }
        machine?.sent()
        sendRequest()
    }

    private func sendRequest() {
        guard let request, let session else { return failed(withoutRequest()) }
        isSuspended = false
        send(request, on: session)
    }

    /// The client has the request, or no client is left that does.
    private func withoutRequest() -> BackendError {
        context.log.internalError("a call is to be sent without its request or its session")
        return BackendError(.unavailable, "Remora lost the request")
    }

    /// Whether the call may run, perhaps for the second time.
    private func mayRun(on session: LegacySession) -> Bool {
        guard let predecessor, predecessor.state.phase == .dispatched else { return true }
        return request.map { SessionRules.mayReplay($0, on: session, context.settings) } ?? false
    }

    /// Goes on with a call whose replica is gone.
    private func goOn(after state: RequestState, _ given: GivenAnswers) async {
        if let session, await takeUp(state, given, like: session) { return }
        if isWanted { context.cancelRun(of: state, for: caller) }
        start()
    }

    /// Goes on with the run that a lost replica started, where its server lets the stream be taken up; false when it does not,
    /// and nothing was done. The answers of the retry have to be all that it waits for.
    private func takeUp(_ state: RequestState, _ given: GivenAnswers, like own: LegacySession) async -> Bool {
        guard state.phase == .dispatched, let resumption = state.resumption,
            let lost = LegacySession.Lost(resumption), !lost.lastEventID.isEmpty,
            lost.revision == own.handshake.revision,
            let request = legs.first?.request, let responses = try? InputResponses(of: request),
            let open = resumption.open(answeredBy: responses),
            let (session, call) = await sessions.takeUp(
                lost, like: own, credentials: caller.callFields, until: end, listener: self)
        else { return false }
        releaseAll(.released)
        adopted = session
        session.claim(for: self)
        let now = sessions.loop.now
        machine = Machine(
            takenUp: open, round: Int(state.round), keys: given.keys, revision: resumption.revision,
            times: times, isAwaited: isWanted, at: now)
        follow(call)
        // That session alone knows the call.
        told()
        for leg in legs { step { $0.retried(leg.machineLeg, responses, at: now) } }
        // Its client may have left by now; who sends the retry again finds it.
        if legs.isEmpty { step { $0.tick(at: now) } }
        return true
    }

    /// Sends the call once more: its user did what the server wanted done first, or answered what it asked before.
    private func sendAgain() {
        begin(isPrepared: session != nil)
        sessions.loop.spawn {
            // What was asked before the call is known before it runs.
            while self.replying > 0 { await self.replied.wait() }
            guard self.machine?.isWanted != false else { return self.failed(.clientLeft) }
            if self.session == nil {
                self.begin(isPrepared: false)
                self.goOn()
            } else if self.isWanted {
                self.sendRequest()
            } else {
                self.machine?.notSent()
            }
        }
    }

    func release(_ end: CallCourse.SessionEnd) {
        if end == .givenUp, session != nil {
            call?.fail(with: BackendError(.cancelled, "the server does not let go of the call"))
        }
        if let adopted = adopted.take() {
            adopted.claim(for: nil)
            sessions.drop(adopted)
        }
        if let session = lease?.session {
            for question in early { session.answer(question, for: nil, credentials: caller.credentials) }
            early = []
        }
        releaseLease(end)
    }

    func refused(_ refusal: Refusal) { complete(.refused(refusal)) }

    func answered(_ answer: LegacyAnswer, from session: LegacySession) {
        let declared = machine?.capabilities ?? legs.first?.capabilities.ofClient ?? []
        if case .error(let error) = answer.outcome,
            case .ask(let pages) = URLElicitationRequired(error, in: answer.document, declared: declared)
        {
            decide()
            let now = sessions.loop.now
            return step { $0.requires(pages, at: now) { context.calls.take(self, for: key.principal) } }
        }
        responseSize = answer.document.bytes.count
        complete(.answered(answer, from: session.handshake.serverInfo))
    }

    func failed(with error: BackendError, _ end: CallCourse.SessionEnd, wasSent: Bool) {
        if !wasSent, error.kind == .cancelled, !isWanted, let machine, machine.isWanted, machine.round > 0 {
            // A retry may come yet, and brings the call again.
            releaseAll(end)
            self.machine?.notSent()
            return
        }
        let wasAsked = machine.map { $0.round > 0 } ?? (predecessor?.state.phase == .dispatched)
        complete(.failed(error, afterQuestions: wasAsked), end)
    }
}

// MARK: What the server says before its answer, on whichever stream

extension InteractiveCall: QuestionListener {
    func heard(_ notification: Envelope, _ kind: ServerNotification) {
        told()
        let heard = Heard(message: notification, kind: kind)
        guard machine != nil else {
            for leg in legs { leg.hear(heard) }
            return
        }
        step { $0.heard(heard) }
    }

    var hasRoom: Bool {
        for leg in legs where !leg.responder.hasRoom { return false }
        return true
    }

    func room() async {
        if let slow = legs.first(where: { !$0.responder.hasRoom }) { await slow.room() }
    }

    func asked(_ question: Envelope) -> Bool {
        guard course.isPrepared else {
            let bytes = early.reduce(question.document.bytes.count) { $0 + $1.document.bytes.count }
            guard early.count < LegacySession.maxEarlyQuestions, bytes <= InteractiveCall.maxEarlyBytes else {
                return false
            }
            early.append(question)
            return true
        }
        decide()
        guard machine != nil else { return false }
        told()
        step { $0.asked(question, at: sessions.loop.now) { context.calls.take(self, for: key.principal) } }
        return true
    }

    func withdrawn(_ questionID: [UInt8]) {
        early.removeAll { $0.isRequest(withID: questionID) }
        step { $0.withdrawn(questionID, at: sessions.loop.now) }
    }

    func completed(_ elicitationID: [UInt8]) { step { $0.completed(elicitationID, at: sessions.loop.now) } }
}
