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
/// ``CallCourse`` decides how it is sent, and ``ParkedCall`` about questions and legs. Most interactive calls ask nothing. A
/// ``ParkedCall`` is made when there is something for it to decide.
///
/// It is held by the request that waits for it, by the call to the server that tells it and, once its client was asked, by
/// `ParkedCalls`.
final class InteractiveCall: CallProgress, SpareCall {
    typealias Machine = ParkedCall<Ending>

    /// Requests that may wait for one call. Published clients send a retry once, and once more when a connection breaks.
    private static let maxLegs = 64
    /// Bytes of the questions that are kept until the call is prepared: as many as may be open.
    private static let maxEarlyBytes = 4 << 20
    /// How long a server that keeps no sessions may be silent after an answer. Most of them lose it, and would be silent for
    /// ever; those that do not go on at once.
    static let sessionlessSilence: Duration = .seconds(10)

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
    /// Whether the tool runs as a task, which is driven to its end for the client.
    private var isTask = false
    /// What the server asked before the call was prepared.
    private var early: [Envelope] = []
    /// Bytes of the server's answer.
    private var responseSize = 0
    /// The last round whose answers no other replica delivers.
    private var claimedRound = 0
    /// Requests whose answers are being claimed, and the call itself where its client did not come back.
    private var claiming = 0
    /// When nothing that its client carries is good any more.
    private var stateExpiry = UnixTime(seconds: 0)
    /// Whether the server may be silent, since it waits for the client.
    private var isSuspended = false
    /// Whether it was sent after its client was asked: what the client carries may say that it was not.
    private var isSpent = false
    /// Answers on their way to the server.
    private var replying = 0
    /// Signalled when one of them has arrived.
    private lazy var replied = Wakeup()
    private var deadline: Deadline?

    /// - Parameters:
    ///   - handleKey: of the session of a handle; nil where any session of the caller will do.
    ///   - predecessor: of a retry whose call is lost; nil for a new call.
    init(
        _ leg: CallLeg, from caller: Caller, in context: Interactions, handleKey: SessionKey? = nil,
        after predecessor: (state: RequestState, given: GivenAnswers)? = nil
    ) {
        self.predecessor = predecessor
        claimedRound = predecessor.map { Int($0.state.round) } ?? 0
        answers = predecessor?.given.answers ?? []
        method = leg.request.method
        request = leg.request
        self.caller = caller
        end = leg.end
        key =
            handleKey
            ?? SessionKey(
                principal: caller.principal, capabilities: leg.capabilities.ofSession, roots: leg.capabilities.roots)
        self.context = context
        super.init(isExclusive: true)
        if let predecessor { id = predecessor.state.call }
    }

    // MARK: Requests of the client

    /// Begins the call with the request that it was made of. Nothing begins where the client of that has gone already.
    func beginCall(_ leg: CallLeg) {
        guard !leg.hasLeft else { return settleCall { _ in .failed(.clientLeft) } }
        attachLeg(leg)
        continueCall()
    }

    /// A retry whose `requestState` names this call.
    func joinRetry(_ leg: CallLeg, from caller: Caller) {
        let responses: InputResponses
        do throws(InputFlaw) {
            responses = try InputResponses(of: leg.request)
        } catch {
            return leg.finishLeg(.refused(.wrongAnswer(error)))
        }
        guard legs.count + claiming < InteractiveCall.maxLegs else {
            return leg.finishLeg(.refused(.tooManyRetries))
        }
        guard let claims = context.claims, let machine, machine.round > claimedRound, machine.takesAnswers(responses)
        else { return addRetry(leg, responses, from: caller) }
        claimAnswers(to: machine.round, by: claims) { outcome in
            switch outcome {
            case .taken, .takenBefore:
                self.addRetry(leg, responses, from: caller)
            case .held(let holder):
                self.stepMachine { $0.leaveToAnother() }
                await self.context.bringLeg(leg, of: self.id, to: holder)
            case .unknown:
                self.context.refuseLeg(leg, .answersNotClaimed(isHere: true), countedAs: \.unclaimed)
                self.adjustDeadline()
            }
        }
    }

    /// Asks the store whether the answers to a round are this call's to deliver, then calls `proceed`.
    private func claimAnswers(
        to round: Int, by claims: Claims, _ proceed: @escaping (Claims.Outcome) async -> Void
    ) {
        claiming += 1
        sessions.loop.spawn {
            let outcome = await claims.takeAnswers(
                of: self.id, round: round, for: self.context.claimLifetime(until: self.stateExpiry))
            self.claiming -= 1
            if outcome == .taken || outcome == .takenBefore { self.claimedRound = max(self.claimedRound, round) }
            await proceed(outcome)
        }
    }

    private func addRetry(_ leg: CallLeg, _ responses: InputResponses, from caller: Caller) {
        attachLeg(leg)
        if machine?.phase != .dispatched || course.step != .answer { request = leg.request }
        if context.hasPeers { keepAnswers(of: leg.request) }
        self.caller = caller
        end = leg.end
        if let level = leg.request.logLevel, let session {
            sessions.loop.spawn { await session.setLogLevel(from: level, credentials: caller.credentials) }
        }
        stepMachine { $0.addRetry(leg.machineLeg, responses, at: sessions.loop.now) }
        if let delay = promotionDelay(of: leg.request) { deferPromotion(by: delay) }
        // It left before it came here: the same as a moment later. Its answers are delivered, and who sends it again joins.
        if leg.hasLeft { detachLeg(leg) }
    }

    private func attachLeg(_ leg: CallLeg) {
        legs.append(leg)
        regainedClient()
        leg.call = self
    }

    /// The client of a leg went away.
    func detachLeg(_ leg: CallLeg) {
        if course.isPrepared { makeMachine() }
        legs.removeAll { $0 === leg }
        stepMachine { $0.removeLeg(leg.id, at: sessions.loop.now) }
        if legs.isEmpty, !course.isPrepared { lostAllClients() }
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

    private func legWithID(_ id: Int) -> CallLeg? { legs.first { $0.id == id } }

    // MARK: What the machine decides

    /// From now on it is ``machine`` that decides. Until now nothing has happened since the call was sent.
    private func makeMachine() {
        guard machine == nil, let session = lease?.session, let leg = legs.first else { return }
        machine = Machine(
            leg.machineLeg, phase: .dispatched, revision: session.handshake.revision,
            times: times)
    }

    /// Tells the machine of an event, and does what it says. What comes of that for the machine is done afterwards, in the order
    /// in which it was decided.
    private func stepMachine(_ event: (inout Machine) -> [Machine.Action]) {
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
                for action in actions { performAction(action) }
            }
            isActing = false
        }
        if isDone, !wasDone { context.calls.responseIsKept(id, size: responseSize) }
        adjustDeadline()
    }

    private func performAction(_ action: Machine.Action) {
        switch action {
        case .reply(let text): sendReply(text)
        case .ask(let waiting, let questions, let round): askClients(waiting, questions, round)
        case .forward(let waiting, let heard): for leg in waiting { self.legWithID(leg.id)?.relayNotification(heard) }
        case .finishLegs(let waiting, let outcome):
            for leg in waiting { finishLeg(leg.id) { self.legOutcome(outcome, for: $0) } }
        case .reject(let leg, let rejection): finishLeg(leg.id) { self.legOutcome(rejection, for: $0) }
        case .cancel: abandonCall()
        case .dispatch: sendAgain()
        case .release: releaseAll(sessionEnd)
        case .discardSession: releaseAll(.givenUp)
        case .leaveSession:
            call?.failCall(with: BackendError(.cancelled, "another replica goes on with the call"))
            releaseAll(.left)
        case .warn(let rounds):
            context.log.write(.warning, "interaction_rounds") { line in
                line.field("rounds", rounds)
                line.field("principal", key.principal.short)
            }
        case .forget: forgetCall()
        }
    }

    /// Sets the time for what the machine waits for, and lets the server be silent while it waits for the client.
    private func adjustDeadline() {
        guard let machine else { return }
        if let due = machine.deadline {
            let deadline = self.deadline ?? makeDeadline()
            deadline.set(due)
        } else {
            deadline?.set(nil)
        }
        context.calls.markSpare(id, machine.isSpare)
        context.markSpare(self, machine.isSpare && lease != nil)
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
            call?.suspendTimeout()
        } else {
            let isKept = session?.isKept ?? true
            call?.resumeTimeout(until: end, silence: isKept ? nil : InteractiveCall.sessionlessSilence)
        }
    }

    private func makeDeadline() -> Deadline {
        let deadline = Deadline(on: sessions.loop)
        // It is this object's own, and fires no more when that is gone.
        deadline.onExpiry = { [unowned self] in performDue() }
        self.deadline = deadline
        return deadline
    }

    private func performDue() {
        let now = sessions.loop.now
        guard let claims = context.claims, let machine, machine.round > claimedRound, machine.isDeserted(at: now) else {
            return stepMachine { $0.performDue(at: now) }
        }
        // What becomes of the claim that is under way says what is due then.
        guard claiming == 0 else { return }
        // To end the run is to answer what is open: its client may have done that elsewhere.
        claimAnswers(to: machine.round, by: claims) { outcome in
            switch outcome {
            case .taken, .takenBefore: self.stepMachine { $0.performDue(at: self.sessions.loop.now) }
            case .held, .unknown: self.stepMachine { $0.leaveToAnother() }
            }
        }
    }

    /// Gives up its place and its session for another call, unless a client waits for it.
    func yieldSession() {
        context.markSpare(self, false)
        isMakingRoom = true
        stepMachine { $0.yieldSession() }
    }

    private func sendReply(_ text: [UInt8]) {
        guard let session else { return }
        let call = call
        replying += 1
        sessions.loop.spawn { [caller] in
            do throws(BackendError) {
                try await session.sendNotification(text, credentials: caller.credentials)
            } catch {
                call?.failCall(
                    with: BackendError(.outcomeUnknown, "an answer did not reach the server: \(error.detail)"))
            }
            self.replying -= 1
            self.replied.signal()
        }
    }

    private func abandonCall() {
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

    private func askClients(_ waiting: [Machine.Leg], _ questions: [Machine.Question], _ round: Int) {
        if let request = request.take() { digest = RequestState.digest(of: request) }
        guard let machine, !digest.isEmpty, let serverInfo = session?.handshake.serverInfo ?? sessions.serverInfo else {
            context.log.internalError("a client is to be asked by no server, or of no request")
            return waiting.forEach { finishLeg($0.id) { .callLost($0.request, nil) } }
        }
        context.calls.numbers.rounds += 1
        context.calls.numbers.questions += questions.count
        noteClientWasTold()
        let state = context.sealedState(requestState(machine), for: caller)
        for leg in waiting {
            self.legWithID(leg.id)?.questions = questions.count
            finishLeg(leg.id) { leg in
                let text = MultiRoundTrip.inputRequired(
                    questions.map { ($0.key, $0.request) }, requestState: state, serverInfo: serverInfo.text,
                    answering: leg.request)
                return .answered(ModernResponse(status: 200, text: SplicedText(text), code: nil))
            }
        }
    }

    /// What its client is to carry.
    private func requestState(_ machine: Machine) -> RequestState {
        let now = UnixTime.now
        let parkTimeout = context.calls.settings.parkTimeout
        // A response that comes at the end of this time is kept for as long again.
        stateExpiry = max(stateExpiry, now + parkTimeout + parkTimeout)
        return RequestState(
            issued: now, expires: now + parkTimeout + parkTimeout, principal: RequestState.principalHash(of: caller),
            request: digest, call: id, phase: machine.phase, round: UInt16(clamping: machine.round),
            owner: context.calls.owner, resumption: stateResumption(machine))
    }

    /// What another replica needs to go on with the call; nil where none could.
    private func stateResumption(_ machine: Machine) -> RequestState.Resumption? {
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

    private func finishLeg(_ legID: Int, _ outcome: (CallLeg) -> RequestOutcome) {
        guard let leg = legWithID(legID) else { return }
        legs.removeAll { $0 === leg }
        leg.rounds = machine?.round ?? 0
        leg.parked = parked
        leg.finishLeg(outcome(leg))
    }

    private func legOutcome(_ outcome: Machine.Outcome, for leg: CallLeg) -> RequestOutcome {
        switch outcome {
        case .answered(let ending): ending.requestOutcome(for: leg.request, context.settings, sessions.serverInfo)
        case .missingCapabilities(let missing): .refused(.missingCapabilities(missing, hasRun: true))
        case .declined where course.doubt != nil: .callLost(leg.request, sessions.serverInfo)
        case .declined: .pageDeclined(leg.request, sessions.serverInfo)
        }
    }

    private func legOutcome(_ rejection: Machine.Rejection, for leg: CallLeg) -> RequestOutcome {
        switch rejection {
        case .wrongAnswer(let flaw): return .refused(.wrongAnswer(flaw))
        case .missingCapabilities(let missing): return .refused(.missingCapabilities(missing, hasRun: false))
        case .lost:
            context.calls.numbers.lost += 1
            return .callLost(leg.request, sessions.serverInfo)
        case .full: return .refused(.tooManyParked(hasRun: course.doubt != nil))
        }
    }

    // MARK: The end

    /// Ends the call without a machine, or as one that there is nothing to decide of any more.
    private func settleCall(_ end: CallCourse.SessionEnd = .released, _ outcome: (CallLeg) -> RequestOutcome) {
        let waiting = legs
        legs = []
        releaseAll(end)
        for leg in waiting { leg.finishLeg(outcome(leg)) }
        if predecessor != nil { forgetCall() }
    }

    private func forgetCall() {
        if isSpent { context.calls.noteSpent(id) }
        context.calls.forgetCall(id)
    }

    /// Ends the call by its outcome.
    private func completeCall(_ ending: Ending, _ end: CallCourse.SessionEnd = .released) {
        guard machine != nil else {
            return settleCall(end) { ending.requestOutcome(for: $0.request, context.settings, sessions.serverInfo) }
        }
        sessionEnd = end
        stepMachine { $0.deliverResponse(ending, isFailure: ending.isFailure, at: sessions.loop.now) }
    }

    /// Gives back its session and its turn.
    private func releaseAll(_ end: CallCourse.SessionEnd) {
        releaseAttempt(end)
        releaseTurn()
    }

    /// Ends the call: the process is about to stop.
    func stopCall() {
        deadline?.set(nil)
        context.markSpare(self, false)
        call?.cancelCall(BackendError(.cancelled, "Remora stops"))
        releaseAll(.givenUp)
    }
}

// MARK: Its course

extension InteractiveCall: TranslatedCall {
    var sessions: SessionPool { context.sessions }
    var lists: Lists { context.lists }
    var questionObserver: (any QuestionObserver)? { self }
    var isWanted: Bool { !legs.isEmpty }
    var session: LegacySession? { adopted ?? lease?.session }

    func continueCall() {
        guard let request else { return failAttempt(withoutRequest()) }
        advanceCall(request)
    }

    func obstacle(by parameters: HeaderParameters) -> Obstacle? {
        guard !parameters.isEmpty, let leg = legs.first, let request else { return nil }
        return SessionRules.obstacle(
            to: request, leg.source.head.fields, by: parameters, on: session, context.settings.tasks)
    }

    /// A client that knows tasks gets one, unless it has been asked something as the client of a call.
    func becomesTask() -> Bool {
        guard let request, request.declaresTasks, machine == nil, predecessor == nil, early.isEmpty, legs.count == 1,
            let leg = legs.first, let tasks = leg.taskCarrier
        else {
            isTask = true
            return false
        }
        legs = []
        releaseAll(.released)
        leg.giveAwayRequest()
        tasks.carryTask(request, of: leg.source, from: caller, answering: leg.clientRequest, key: key)
        return true
    }

    func mayRepeat(on session: LegacySession) -> Bool {
        request.map { SessionRules.mayRepeat($0, on: session, context.settings) } ?? false
    }

    /// The session is there, and everything is known.
    func dispatchCall(on _: LegacySession) {
        guard let predecessor, machine == nil else { return startRound() }
        sessions.loop.spawn { await self.continueLostCall(after: predecessor.state, predecessor.given) }
    }

    /// Asks what the server asked meanwhile, or sends the call.
    private func startRound() {
        guard let session, let leg = legs.first else { return failAttempt(.clientLeft) }
        guard mayRun(on: session) else {
            context.calls.numbers.lost += legs.count
            return settleCall { .callLost($0.request, sessions.serverInfo) }
        }
        let revision = session.handshake.revision
        if machine == nil, let predecessor {
            machine = Machine(
                successor: legs.map(\.machineLeg), round: Int(predecessor.state.round), predecessor.given,
                revision: revision, times: times, at: sessions.loop.now)
        } else if machine == nil, !early.isEmpty {
            machine = Machine(leg.machineLeg, phase: .predispatch, revision: revision, times: times)
        }
        holdCall()
        let questions = early
        early = []
        if !questions.isEmpty { machine?.notSent() }
        for question in questions where !questionArrived(question) {
            session.answerQuestion(question, for: nil, credentials: caller.credentials)
        }
        guard machine?.open.isEmpty ?? true else { return }
        machine?.noteSending()
        sendRequest()
    }

    private func sendRequest() {
        guard let request, let session else { return failAttempt(withoutRequest()) }
        isSuspended = false
        isSpent = machine.map { $0.round > 0 } ?? false
        guard isTask else { return sendCall(request, on: session) }
        followCall(
            session.driveTask(
                request, ttl: context.settings.tasks.maxTTLMs, credentials: caller.callFields, until: end,
                observer: self))
        if let delay = promotionDelay(of: request) { awaitPromotion(after: delay) }
    }

    func promotionDelay(of request: ModernRequest) -> Duration? {
        context.settings.tasks.promotionDelay(of: request)
    }

    func promoteCall() -> Bool {
        // A question ends the requests that wait.
        guard let leg = legs.first, machine?.isRunning ?? true else { return false }
        // A session of another replica has no lease here that a task could keep.
        guard adopted == nil, legs.allSatisfy({ $0.request.declaresTasks }), let tasks = leg.taskCarrier,
            let (task, serverInfo) = tasks.promoteCall(
                self, as: id, asking: machine?.taskQuestions ?? TaskQuestions(declared: leg.capabilities.ofClient))
        else { return true }
        deadline?.set(nil)
        completeCall(.task(task, from: serverInfo))
        return true
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
    private func continueLostCall(after state: RequestState, _ given: GivenAnswers) async {
        if let session, await resumeLostRun(state, given, like: session) { return }
        if isWanted { context.cancelRun(of: state, for: caller) }
        startRound()
    }

    /// Goes on with the run that a lost replica started, where its server lets the stream be taken up; false when it does not,
    /// and nothing was done. The answers of the retry have to be all that it waits for.
    private func resumeLostRun(_ state: RequestState, _ given: GivenAnswers, like own: LegacySession) async -> Bool {
        guard state.phase == .dispatched, let resumption = state.resumption,
            let lost = LegacySession.Lost(resumption), !lost.lastEventID.isEmpty,
            lost.revision == own.handshake.revision,
            let request = legs.first?.request, let responses = try? InputResponses(of: request),
            let open = resumption.openQuestions(answeredBy: responses),
            let (session, call) = await sessions.resumeLostCall(
                lost, like: own, credentials: caller.callFields, until: end, observer: self)
        else { return false }
        releaseAll(.released)
        adopted = session
        session.setInteraction(for: self)
        let now = sessions.loop.now
        machine = Machine(
            takenUp: open, round: Int(state.round), keys: given.keys, revision: resumption.revision,
            times: times, isAwaited: isWanted, at: now)
        followCall(call)
        // That session alone knows the call.
        noteClientWasTold()
        for leg in legs { stepMachine { $0.addRetry(leg.machineLeg, responses, at: now) } }
        // Its client may have left by now; who sends the retry again finds it.
        if legs.isEmpty { stepMachine { $0.performDue(at: now) } }
        return true
    }

    /// Sends the call once more: its user did what the server wanted done first, or answered what it asked before.
    private func sendAgain() {
        beginSending(isPrepared: session != nil)
        sessions.loop.spawn {
            // What was asked before the call is known before it runs.
            while self.replying > 0 { await self.replied.wait() }
            guard self.machine?.isWanted != false else { return self.failAttempt(.clientLeft) }
            if self.session == nil {
                self.beginSending(isPrepared: false)
                self.continueCall()
            } else if self.isWanted {
                self.sendRequest()
            } else {
                self.machine?.notSent()
            }
        }
    }

    func releaseAttempt(_ end: CallCourse.SessionEnd) {
        if end == .givenUp, session != nil {
            call?.failCall(with: BackendError(.cancelled, "the server does not let go of the call"))
        }
        if let adopted = adopted.take() {
            adopted.setInteraction(for: nil)
            sessions.dropResumed(adopted, isLeft: end == .left)
        }
        if let session = lease?.session {
            for question in early { session.answerQuestion(question, for: nil, credentials: caller.credentials) }
            early = []
        }
        releaseLease(end)
    }

    func finishWithRefusal(_ refusal: Refusal) { completeCall(.refused(refusal)) }

    func finishWithResponse(_ answer: LegacyResponse, from session: LegacySession) {
        let declared = machine?.capabilities ?? legs.first?.capabilities.ofClient ?? []
        if case .error(let error) = answer.outcome,
            case .ask(let pages) = URLElicitationRequired(error, in: answer.document, declared: declared)
        {
            // It did not run.
            isSpent = false
            makeMachine()
            let now = sessions.loop.now
            return stepMachine { $0.requirePages(pages, at: now) { context.calls.takePlace(self, for: key.principal) } }
        }
        responseSize = answer.document.bytes.count
        completeCall(.answered(answer, from: session.handshake.serverInfo))
    }

    func finishWithFailure(with error: BackendError, _ end: CallCourse.SessionEnd, wasSent: Bool) {
        if !wasSent, error.kind == .cancelled, !isWanted, let machine, machine.isWanted, machine.round > 0 {
            // A retry may come yet, and brings the call again.
            releaseAll(end)
            self.machine?.notSent()
            return
        }
        // With a task it could have waited for longer.
        if isTask, error.kind == .overdue { return completeCall(.refused(.needsTasks(hasRun: true)), end) }
        let wasAsked = machine.map { $0.round > 0 } ?? (predecessor?.state.phase == .dispatched)
        completeCall(.failed(error, afterQuestions: wasAsked), end)
    }
}

// MARK: What the server says before its response, on any stream

extension InteractiveCall: QuestionObserver {
    func notificationArrived(_ notification: Envelope, _ kind: ServerNotification) {
        noteClientWasTold()
        let heard = Heard(message: notification, kind: kind)
        guard machine != nil else {
            for leg in legs { leg.relayNotification(heard) }
            return
        }
        stepMachine { $0.forwardNotification(heard) }
    }

    var hasRoom: Bool {
        for leg in legs where !leg.responder.hasRoom { return false }
        return true
    }

    func waitForRoom() async {
        if let slow = legs.first(where: { !$0.responder.hasRoom }) { await slow.waitUntilSent() }
    }

    func questionArrived(_ question: Envelope) -> Bool {
        guard course.isPrepared else {
            let bytes = early.reduce(question.document.bytes.count) { $0 + $1.document.bytes.count }
            guard early.count < LegacySession.maxEarlyQuestions, bytes <= InteractiveCall.maxEarlyBytes else {
                return false
            }
            early.append(question)
            return true
        }
        makeMachine()
        guard machine != nil else { return false }
        noteClientWasTold()
        stepMachine {
            $0.addQuestion(question, resumptions: session?.resumptions ?? 0, at: sessions.loop.now) {
                context.calls.takePlace(self, for: key.principal)
            }
        }
        return true
    }

    func questionWithdrawn(_ questionID: [UInt8]) {
        early.removeAll { $0.isRequest(withID: questionID) }
        stepMachine { $0.withdrawQuestion(questionID, at: sessions.loop.now) }
    }

    func elicitationCompleted(_ elicitationID: [UInt8]) {
        stepMachine { $0.completeElicitation(elicitationID, at: sessions.loop.now) }
    }
}
