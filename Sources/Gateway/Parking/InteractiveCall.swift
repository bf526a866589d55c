import Crypto
import HTTPTransport
import HTTPWire
import JSONText
import Legacy
import MCP
import Reactor
import Telemetry
import Translation

/// A call during which the server may ask the client, with a session to itself. It carries out what ``ParkedCall`` decides,
/// and outlives the requests that wait for it.
///
/// Most such calls ask nothing: until something happens that ``ParkedCall`` has to decide there is none. And while only the
/// server or the client is waited for there is no task either, but where the transport tells nobody of news.
///
/// It is held by the request that waits for it, by the call to the server that tells it and, once its client was asked, by
/// `ParkedCalls`.
final class InteractiveCall {
    typealias Machine = ParkedCall<Ending>

    /// Questions of the handshake that are kept until the call is ready to ask them. No server has as many.
    private static let maxEarly = 32
    /// How long a server that keeps no sessions may be silent after an answer. Most of them lose it, and would be silent for
    /// ever; those that do not go on at once.
    private static let sessionlessSilence: Duration = .seconds(10)

    private(set) lazy var id = CallID(random: SecureRandom.bytes)
    private let method: Method
    /// What the server gets. Nil from the first question on: who comes back brings it again, and it may be long.
    private var request: ModernRequest?
    private let context: Interactions
    private let key: SessionKey
    /// Whoever sent the latest request: their credentials go with what is sent now.
    private(set) var caller: Caller
    private var legs: [CallLeg] = []
    /// Whether it was sent, or could have been if the server had not asked before.
    private var isReady = false
    /// Nil until there is something to decide.
    private(set) var machine: Machine?
    private var early: [Envelope] = []
    private var lease: Lease?
    /// Another replica's, with the call in it that this one took up.
    private var adopted: LegacySession?
    /// The one in which the call is.
    var session: LegacySession? { adopted ?? lease?.session }
    private(set) var call: LegacyCall?
    private var attempts = Attempts()
    private var waiter: ListWaiter?
    /// Answers on their way to the server, and who waits for the last of them.
    private var replying = 0
    private var replied: Wakeup?
    private var deadline: Deadline?
    /// When the latest request has waited for long enough.
    private var end: Instant
    private var isSuspended = false
    /// Whether the session is not fit for another call.
    private var isSpoilt = false
    /// Whether a client heard anything of this run of the call, so that another run would tell it twice.
    private var wasTold = false
    private var parkedSince: Instant?
    private var parked: Duration = .zero
    /// What was answered so far, for a replica that has to begin anew.
    private(set) var answers: [RequestState.Answer] = []
    /// The call that it is another run of, because whoever had that is gone.
    private let predecessor: (state: RequestState, given: GivenAnswers)?

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
            principal: caller.principal, capabilities: leg.capabilities.ofSession)
        self.context = context
        if let predecessor { id = predecessor.state.call }
    }

    private var sessions: SessionPool { context.sessions }
    var parkTimeout: Duration { context.calls.settings.parkTimeout }
    var owner: [UInt8] { context.calls.owner }
    var hasPeers: Bool { context.hasPeers }
    /// ``RequestState/request``, from the first question on.
    private(set) var digest: [UInt8] = []

    /// Whether the response is there, and only kept.
    var isDone: Bool { machine?.isDone == true }

    // MARK: Requests of the client

    /// Begins the call with the request that it was made of.
    func begin(_ leg: CallLeg) {
        attach(leg)
        if predecessor == nil, startAtOnce() { return }
        sessions.loop.spawn { await self.run() }
    }

    /// Sends the call, where nothing has to be waited for before that.
    private func startAtOnce() -> Bool {
        guard let leg = legs.first, leg.request.logLevel == nil,
            let lease = sessions.readyExclusiveLease(key, for: self)
        else { return false }
        guard isWelcome(leg, to: lease.session) else {
            sessions.release(lease)
            return false
        }
        self.lease = lease
        isReady = true
        expect(send(on: lease.session))
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
        attach(leg)
        if hasPeers { keepAnswers(of: leg.request) }
        self.caller = caller
        end = leg.end
        if let level = leg.request.logLevel, let session {
            sessions.loop.spawn { await session.log(from: level, credentials: caller.credentials) }
        }
        step { $0.retried(leg.machineLeg, responses, at: sessions.loop.now) }
    }

    private func attach(_ leg: CallLeg) {
        legs.append(leg)
        leg.call = self
    }

    /// The client of a leg went away.
    func left(_ leg: CallLeg) {
        guard isReady else {
            legs.removeAll { $0 === leg }
            waiter?.cancel()
            return release()
        }
        decide()
        legs.removeAll { $0 === leg }
        step { $0.left(leg.id, at: sessions.loop.now) }
    }

    private func keepAnswers(of retry: ModernRequest) {
        let document = retry.document
        guard let responses = document.value("inputResponses", of: retry.params) else { return }
        for question in machine?.open ?? [] where question.isAsked {
            guard let member = document.members(of: responses).first(where: { document.name(of: $0) == question.key })
            else { continue }
            answers.append(
                RequestState.Answer(
                    key: Array(question.key.utf8), text: Array(document.raw(member.value)),
                    question: RequestState.digest(of: question.request)))
        }
        // More than a state takes: without them, the rest is worth nothing.
        if !RequestState.canHold(answers) { answers = [] }
    }

    // MARK: Sending

    private func run() async {
        do throws(BackendError) {
            if let refusal = try await prepare() { return settle(.refused(refusal)) }
        } catch {
            return settle { self.outcome(error, for: $0) }
        }
        guard let lease, let leg = legs.first else { return settle(.failed(InteractiveCall.gone)) }
        if let predecessor {
            if await takeUp(predecessor.state, predecessor.given, like: lease.session) { return }
            context.cancelRun(of: predecessor.state, for: caller)
        }
        guard mayRun(on: lease.session) else {
            context.calls.numbers.lost += legs.count
            return settle { .lost($0.request, sessions.serverInfo) }
        }
        let (revision, times) = (lease.session.handshake.revision, ParkingTimes(park: parkTimeout))
        if let predecessor {
            machine = Machine(
                successor: legs.map(\.machineLeg), round: Int(predecessor.state.round), predecessor.given,
                revision: revision, times: times)
        } else if !early.isEmpty {
            machine = Machine(leg.machineLeg, phase: .predispatch, revision: revision, times: times)
        }
        isReady = true
        let questions = early
        early = []
        for question in questions { _ = asked(question) }
        guard machine?.open.isEmpty ?? true else { return }
        machine?.sent()
        expect(send(on: lease.session))
    }

    /// Goes on with the run that whoever is gone began, where its server lets the stream be taken up; false when it does not,
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
        release()
        adopted = session
        session.claim(for: self)
        self.call = call
        isReady = true
        let now = sessions.loop.now
        machine = Machine(
            takenUp: open, round: Int(state.round), keys: given.keys, revision: resumption.revision,
            times: ParkingTimes(park: parkTimeout), at: now)
        for leg in legs { step { $0.retried(leg.machineLeg, responses, at: now) } }
        expect(call)
        return true
    }

    /// From now on it is ``machine`` that decides. Until now nothing has happened since the call was sent.
    private func decide() {
        guard machine == nil, let lease, let leg = legs.first else { return }
        machine = Machine(
            leg.machineLeg, phase: .dispatched, revision: lease.session.handshake.revision,
            times: ParkingTimes(park: parkTimeout))
    }

    /// Whether the call may run, perhaps for the second time.
    private func mayRun(on session: LegacySession) -> Bool {
        guard let predecessor, predecessor.state.phase == .dispatched else { return true }
        return request.map { SessionRules.mayReplay($0, on: session, context.settings) } ?? false
    }

    /// What a call ends with that was not sent.
    private func outcome(_ error: BackendError, for leg: CallLeg) -> Exchange.Outcome {
        let wasDispatched = predecessor?.state.phase == .dispatched
        return Ending.failed(error, afterQuestions: wasDispatched).outcome(
            for: leg.request, context.settings, sessions.serverInfo)
    }

    /// Gets a session and whatever has to be known before the call is sent. Nothing of the client's call has been sent when
    /// this returns.
    private func prepare() async throws(BackendError) -> Refusal? {
        guard let request else { preconditionFailure("a call is prepared again without its request") }
        let session = try await lease().session
        if let refusal = SessionRules.refusal(of: request, on: session) { return refusal }
        // What the server asks on the GET stream before that is there is lost, and its call hangs for ever.
        if !session.knowsPushChannel { _ = await session.hasPushChannel() }
        try checkWaiting()
        if request.method == .callTool {
            let parameters =
                if let ready = session.readyHeaderParameters { ready } else { try await headerParameters(of: session) }
            if let leg = legs.first,
                let refusal = SessionRules.refusal(of: request, leg.source.head.fields, by: parameters)
            {
                return refusal
            }
        }
        if let level = request.logLevel { await session.log(from: level, credentials: caller.credentials) }
        try checkWaiting()
        return nil
    }

    private func headerParameters(of session: LegacySession) async throws(BackendError) -> HeaderParameters {
        let waiter = ListWaiter()
        self.waiter = waiter
        defer { self.waiter = nil }
        if legs.isEmpty { waiter.cancel() }
        return try await context.lists.headerParameters(for: session, key: key, caller.credentials, waiter)
    }

    /// A session for this call alone. It is held until `release`.
    private func lease() async throws(BackendError) -> Lease {
        let lease =
            if let ready = sessions.readyExclusiveLease(key, for: self) { ready } else {
                try await sessions.lease(key, for: self, credentials: caller.credentials)
            }
        self.lease = lease
        try checkWaiting()
        return lease
    }

    private func checkWaiting() throws(BackendError) {
        guard legs.isEmpty else { return }
        release()
        throw InteractiveCall.gone
    }

    /// The call ends before it was sent.
    private func settle(_ outcome: Exchange.Outcome) { settle { _ in outcome } }

    private func settle(_ outcome: (CallLeg) -> Exchange.Outcome) {
        let waiting = legs
        legs = []
        release()
        for leg in waiting { leg.finish(outcome(leg)) }
        if predecessor != nil { context.calls.forget(id) }
    }

    private static let gone = BackendError(.cancelled, "the client went away")

    private func send(on session: LegacySession) -> LegacyCall {
        guard let request else { preconditionFailure("a call is sent while its client has the request") }
        let call = session.call(
            request, credentials: caller.callFields, until: end, wantsProgress: true, listener: self)
        self.call = call
        isSuspended = false
        wasTold = false
        return call
    }

    /// Sends the call, once more after the user has been to a page.
    private func dispatch() async {
        attempts = Attempts()
        // What was asked before the call is known before it runs.
        while replying > 0 {
            let replied = replied ?? Wakeup()
            self.replied = replied
            await replied.wait()
        }
        replied = nil
        guard machine?.isWanted != false else { return ended(InteractiveCall.gone) }
        if session == nil {
            do throws(BackendError) { try await renewSession() } catch { return ended(error) }
        }
        if let session { expect(send(on: session)) }
    }

    /// Waits for what becomes of a call that was sent. It waits for its client for minutes, and a task would hold its frames,
    /// those of all that it did before too, for as long: where the transport tells of news, there is none.
    private func expect(_ call: LegacyCall) {
        if !call.tell(self) { sessions.loop.spawn { await self.wait(for: call) } }
    }

    private func wait(for call: LegacyCall) async {
        do throws(BackendError) {
            answered(try await call.answer())
        } catch {
            await failed(call, error)
        }
    }

    private func answered(_ answer: LegacyAnswer) {
        call = nil
        // Else nobody wants to know any more.
        if let session { ended(answer, from: session.handshake.serverInfo) }
    }

    /// A call has failed that was sent: sends it once more, as a new request, where that can do no harm.
    private func failed(_ call: LegacyCall, _ error: BackendError) async {
        self.call = nil
        if error.kind == .silent || error.kind == .overdue { call.cancel(error) }
        do throws(BackendError) {
            // Who was told something already would be told it again. What was taken up is known to that session alone.
            guard let lease, !wasTold, !legs.isEmpty else { throw error }
            let mayRepeat = request.map { SessionRules.mayRepeat($0, on: lease.session, context.settings) } ?? false
            try attempts.failed(error, mayRepeat: mayRepeat)
            if error.kind == .sessionLost { sessions.retire(lease) }
            if error.kind == .noAnswer { sessions.check(lease, caller.credentials) }
            release()
            try await renewSession()
        } catch {
            return ended(attempts.told(error))
        }
        if let session { expect(send(on: session)) }
    }

    private func renewSession() async throws(BackendError) {
        let session = try await lease().session
        if !session.knowsPushChannel { _ = await session.hasPushChannel() }
        try checkWaiting()
    }

    /// What the client can be asked.
    private var declared: InputCapabilities {
        machine?.capabilities ?? legs.first?.capabilities.ofClient ?? []
    }

    private func ended(_ answer: LegacyAnswer, from serverInfo: ServerInfo) {
        if case .error(let error) = answer.outcome,
            case .ask(let pages) = URLElicitationRequired(error, in: answer.document, declared: declared)
        {
            decide()
            let now = sessions.loop.now
            return step { $0.requires(pages, at: now) { context.calls.take(self, for: key.principal) } }
        }
        let ending = Ending.answered(answer, from: serverInfo)
        guard machine != nil else {
            return settle { ending.outcome(for: $0.request, context.settings, sessions.serverInfo) }
        }
        step { $0.finished(ending, isFailure: ending.isFailure, at: sessions.loop.now) }
    }

    private func ended(_ error: BackendError) {
        // Whatever still runs there would ask the next call that has the session.
        isSpoilt = !error.isBeforeDispatch
        if error.kind == .sessionLost, let lease { sessions.retire(lease) }
        guard machine != nil else { return settle(.failed(error)) }
        step { machine in
            let wasAsked = machine.round > 0
            return machine.finished(
                .failed(error, afterQuestions: wasAsked), isFailure: false, at: sessions.loop.now)
        }
    }

    // MARK: Carrying out

    private func step(_ event: (inout Machine) -> [Machine.Action]) {
        guard machine != nil else { return }
        let wasDone = isDone
        for action in event(&machine!) { perform(action) }
        if isDone, !wasDone {
            context.calls.numbers.finished += 1
            context.calls.done(id)
        }
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
        case .dispatch:
            if let leg = legs.first { request = leg.request }
            sessions.loop.spawn { await self.dispatch() }
        case .release: release()
        case .discardSession:
            isSpoilt = true
            release()
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
        deadline.onExpiry = { [unowned self] in step { $0.tick(at: sessions.loop.now) } }
        self.deadline = deadline
        return deadline
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
            self.replied?.signal()
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
        }
    }

    /// Gives the session back.
    private func release() {
        if let adopted = adopted.take() {
            adopted.claim(for: nil)
            sessions.drop(adopted)
        }
        guard let lease = lease.take() else { return }
        for question in early { lease.session.answer(question, for: nil, credentials: caller.credentials) }
        early = []
        if isSpoilt {
            call?.fail(with: BackendError(.cancelled, "the server does not let go of the call"))
            sessions.giveUp(lease)
        }
        sessions.release(lease)
    }

    /// The response is not kept any longer.
    func forget() { deadline?.set(nil) }

    /// Ends the call: the process is about to stop.
    func stop() {
        deadline?.set(nil)
        call?.cancel(BackendError(.cancelled, "Remora stops"))
        isSpoilt = true
        release()
    }

    // MARK: Answering

    private func ask(_ waiting: [Machine.Leg], _ questions: [Machine.Question], _ round: Int) {
        guard let serverInfo = session?.handshake.serverInfo, let machine else { return }
        context.calls.numbers.rounds += 1
        context.calls.numbers.questions += questions.count
        wasTold = true
        if let request = request.take() { digest = RequestState.digest(of: request) }
        let state = context.sealed(RequestState(of: self, machine), for: caller)
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

    private func leg(_ id: Int) -> CallLeg? { legs.first { $0.id == id } }

    private func finish(_ legID: Int, _ outcome: (CallLeg) -> Exchange.Outcome) {
        guard let leg = leg(legID) else { return }
        legs.removeAll { $0 === leg }
        leg.rounds = machine?.round ?? 0
        leg.parked = parked
        leg.finish(outcome(leg))
    }

    private func outcome(_ outcome: Machine.Outcome, for leg: CallLeg) -> Exchange.Outcome {
        switch outcome {
        case .answered(let ending): ending.outcome(for: leg.request, context.settings, sessions.serverInfo)
        case .missingCapabilities(let missing): .refused(.missingCapabilities(missing))
        case .declined: .declined(leg.request, sessions.serverInfo)
        }
    }

    private func outcome(_ rejection: Machine.Rejection, for leg: CallLeg) -> Exchange.Outcome {
        switch rejection {
        case .wrongAnswer(let flaw): return .refused(.wrongAnswer(flaw))
        case .missingCapabilities(let missing): return .refused(.missingCapabilities(missing))
        case .lost:
            context.calls.numbers.lost += 1
            return .lost(leg.request, sessions.serverInfo)
        case .full: return .refused(.tooManyParked)
        }
    }
}

extension InteractiveCall: CallReader {
    func news() {
        guard let call else { return }
        do throws(BackendError) {
            if let answer = try call.readyAnswer() { return answered(answer) }
            // A question, or whatever else the server says on the way.
            expect(call)
        } catch {
            sessions.loop.spawn { await self.failed(call, error) }
        }
    }
}

// MARK: What the server says

extension InteractiveCall: QuestionListener {
    func heard(_ notification: Envelope, _ kind: ServerNotification) {
        wasTold = true
        let heard = Heard(message: notification, kind: kind)
        guard machine != nil else {
            for leg in legs { leg.hear(heard) }
            return
        }
        step { $0.heard(heard) }
    }

    var hasRoom: Bool { legs.allSatisfy(\.responder.hasRoom) }

    func room() async {
        if let slow = legs.first(where: { !$0.responder.hasRoom }) { await slow.responder.room() }
    }

    func asked(_ question: Envelope) -> Bool {
        guard isReady else {
            guard early.count < InteractiveCall.maxEarly else { return false }
            early.append(question)
            return true
        }
        decide()
        wasTold = true
        step { $0.asked(question, at: sessions.loop.now) { context.calls.take(self, for: key.principal) } }
        return true
    }

    func withdrawn(_ questionID: [UInt8]) {
        early.removeAll { $0.isRequest(withID: questionID) }
        step { $0.withdrawn(questionID, at: sessions.loop.now) }
    }

    func completed(_ elicitationID: [UInt8]) { step { $0.completed(elicitationID, at: sessions.loop.now) } }
}
