import Crypto
import JSONText
import Legacy
import MCP
import Reactor
import Telemetry
import Translation

/// What the machine says is to be done, in its order.
extension InteractiveCall {
    /// How long a server that keeps no sessions may be silent after an answer. Most of them lose it, and would be silent for
    /// ever; those that do not go on at once.
    private static let sessionlessSilence: Duration = .seconds(10)

    /// Tells the machine of an event, and does what it says. What comes of that for the machine is done afterwards, in the order
    /// in which it was decided.
    func step(_ event: (inout Machine) -> [Machine.Action]) {
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

    /// Gives up its place and its session for another call, unless somebody waits for it.
    func makeRoom() {
        context.spare(self, false)
        isMakingRoom = true
        step { $0.makeRoom() }
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
            isToBeSent = true
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

    /// Gives the session back.
    func release() {
        let (adopted, lease) = (adopted.take(), lease.take())
        defer { turn.take()?.giveBack() }
        if isSpoilt, adopted != nil || lease != nil {
            call?.fail(with: BackendError(.cancelled, "the server does not let go of the call"))
        }
        if let adopted {
            adopted.claim(for: nil)
            sessions.drop(adopted)
        }
        guard let lease else { return }
        for question in early { lease.session.answer(question, for: nil, credentials: caller.credentials) }
        early = []
        if isSpoilt { sessions.giveUp(lease) }
        sessions.release(lease)
    }

    /// Ends the call: the process is about to stop.
    func stop() {
        deadline?.set(nil)
        context.spare(self, false)
        call?.cancel(BackendError(.cancelled, "Remora stops"))
        isSpoilt = true
        release()
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
        wasTold = true
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
        case .full: return .refused(.tooManyParked)
        }
    }
}
