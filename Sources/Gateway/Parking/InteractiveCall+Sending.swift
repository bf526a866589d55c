import HTTPTransport
import HTTPWire
import JSONText
import Legacy
import MCP
import Reactor
import Telemetry
import Translation

/// From the request that began the call to the server's answer: a session, what has to be known before, the sending, and once more
/// where that can do no harm.
extension InteractiveCall {
    func run() async {
        while !legs.isEmpty {
            wasDeserted = false
            do throws(BackendError) {
                if let refusal = try await prepare() { return settle(.refused(refusal)) }
                if let predecessor, let lease {
                    if await takeUp(predecessor.state, predecessor.given, like: lease.session) { return }
                    try checkWaiting()
                    context.cancelRun(of: predecessor.state, for: caller)
                }
                return start()
            } catch {
                // Whoever came meanwhile has not left.
                guard wasDeserted, !legs.isEmpty else { return settle { self.outcome(error, for: $0) } }
                release()
            }
        }
        settle(.failed(.clientLeft))
    }

    /// The session is there, and everything is known: asks what the server asked meanwhile, or sends the call.
    private func start() {
        guard let session, let leg = legs.first else { return settle(.failed(.clientLeft)) }
        guard mayRun(on: session) else {
            context.calls.numbers.lost += legs.count
            return settle { .lost($0.request, sessions.serverInfo) }
        }
        let (revision, times) = (session.handshake.revision, ParkingTimes(park: parkTimeout))
        if machine == nil, let predecessor {
            machine = Machine(
                successor: legs.map(\.machineLeg), round: Int(predecessor.state.round), predecessor.given,
                revision: revision, times: times, at: sessions.loop.now)
        } else if machine == nil, !early.isEmpty {
            machine = Machine(leg.machineLeg, phase: .predispatch, revision: revision, times: times)
        }
        isReady = true
        let questions = early
        early = []
        if !questions.isEmpty { machine?.notSent() }
        for question in questions where !asked(question) {
            session.answer(question, for: nil, credentials: caller.credentials)
        }
        guard machine?.open.isEmpty ?? true else { return }
        machine?.sent()
        send()
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
            times: ParkingTimes(park: parkTimeout), isAwaited: !legs.isEmpty, at: now)
        for leg in legs { step { $0.retried(leg.machineLeg, responses, at: now) } }
        // Its client may have left by now; who sends the retry again finds it.
        if legs.isEmpty { step { $0.tick(at: now) } }
        expect(call)
        return true
    }

    /// From now on it is ``machine`` that decides. Until now nothing has happened since the call was sent.
    func decide() {
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
    private func outcome(_ error: BackendError, for leg: CallLeg) -> RequestOutcome {
        let wasDispatched = predecessor?.state.phase == .dispatched
        return Ending.failed(error, afterQuestions: wasDispatched).outcome(
            for: leg.request, context.settings, sessions.serverInfo)
    }

    /// Gets a session and whatever has to be known before the call is sent. Nothing of the client's call has been sent when
    /// this returns.
    private func prepare() async throws(BackendError) -> Refusal? {
        guard let request else { throw withoutRequest() }
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
        let waiter = ListWaiter(until: end, on: sessions.loop)
        self.waiter = waiter
        defer { self.waiter = nil }
        if legs.isEmpty { waiter.cancel() }
        return try await context.lists.headerParameters(for: session, key: key, caller.credentials, waiter)
    }

    /// A session for this call alone. It is held until `release`.
    private func lease() async throws(BackendError) -> Lease {
        if sessions.turns.isLimited { try await takeTurn() }
        let lease: Lease
        let waiter = SessionWaiter(until: end)
        sessionWaiter = waiter
        defer { sessionWaiter = nil }
        do throws(BackendError) {
            lease =
                if attempts.session == nil, let ready = sessions.readyExclusiveLease(key, for: self) { ready } else {
                    try await sessions.lease(
                        key, for: self, after: attempts.session, credentials: caller.credentials, by: waiter)
                }
        } catch {
            turn.take()?.giveBack()
            throw error
        }
        self.lease = lease
        try checkWaiting()
        return lease
    }

    private func takeTurn() async throws(BackendError) {
        let turn = CallTurn(of: key.principal)
        self.turn = turn
        do throws(BackendError) {
            if legs.isEmpty { throw .clientLeft }
            try await sessions.turns.take(turn, until: end)
        } catch {
            self.turn = nil
            throw error
        }
    }

    private func checkWaiting() throws(BackendError) {
        guard legs.isEmpty else { return }
        release()
        throw .clientLeft
    }

    /// The call ends before it was sent.
    func settle(_ outcome: RequestOutcome) { settle { _ in outcome } }

    private func settle(_ outcome: (CallLeg) -> RequestOutcome) {
        let waiting = legs
        legs = []
        release()
        for leg in waiting { leg.finish(outcome(leg)) }
        if predecessor != nil { context.calls.forget(id) }
    }

    func send() {
        guard let session, let request else { return ended(withoutRequest()) }
        let call = session.call(
            request, credentials: caller.callFields, until: end, wantsProgress: true, listener: self)
        self.call = call
        isToBeSent = false
        isSuspended = false
        wasTold = false
        expect(call)
    }

    /// The client has the request, or nobody is left who does.
    private func withoutRequest() -> BackendError {
        context.log.internalError("a call is to be sent without its request or its session")
        return BackendError(.unavailable, "Remora lost the request")
    }

    /// Sends the call, once more after the user has been to a page.
    func dispatch() async {
        attempts = Attempts()
        // What was asked before the call is known before it runs.
        while replying > 0 { await replied.wait() }
        guard machine?.isWanted != false else { return ended(.clientLeft) }
        if session == nil { return await sendAnew() }
        if legs.isEmpty { machine?.notSent() } else { send() }
    }

    /// Sends the call on another session.
    private func sendAnew() async {
        // What that one asks before the call is sent is asked before.
        isReady = false
        do throws(BackendError) {
            let session = try await lease().session
            if !session.knowsPushChannel { _ = await session.hasPushChannel() }
            try checkWaiting()
        } catch {
            isReady = true
            // A retry may come yet, and brings the call again.
            if error.kind == .cancelled, legs.isEmpty, let machine, machine.isWanted, machine.round > 0 {
                self.machine?.notSent()
                return
            }
            return ended(attempts.told(error))
        }
        start()
    }

    /// Waits for what becomes of a call that was sent. It may wait for its client for minutes, and a task would hold its frames
    /// for as long, those of all that it did before too: there is one only for a client that reads slowly, for whom the server
    /// has to wait.
    func expect(_ call: LegacyCall) {
        if !hasRoom || !call.tell(self) { sessions.loop.spawn { await self.wait(for: call) } }
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
        if let session {
            sessions.heard(answer, on: session)
            ended(answer, from: session.handshake.serverInfo)
        }
    }

    /// A call has failed that was sent: sends it once more, as a new request, where that can do no harm.
    private func failed(_ call: LegacyCall, _ error: BackendError) async {
        self.call = nil
        if error.kind == .silent || error.kind == .overdue { call.cancel(error) }
        if case .rejected = error.kind, let lease { sessions.rejected(on: lease.session) }
        do throws(BackendError) {
            // Who was told something already would be told it again. What was taken up is known to that session alone.
            guard let lease, !wasTold, !legs.isEmpty else { throw error }
            let mayRepeat = request.map { SessionRules.mayRepeat($0, on: lease.session, context.settings) } ?? false
            try attempts.failed(error, mayRepeat: mayRepeat)
            if error.kind == .sessionLost { sessions.retire(lease) }
            if error.kind == .noAnswer { sessions.check(lease, caller.credentials) }
            attempts.session = lease.session
            release()
        } catch {
            return ended(attempts.told(error))
        }
        await sendAnew()
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
        responseSize = answer.document.bytes.count
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
