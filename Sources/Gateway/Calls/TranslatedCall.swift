import Legacy
import MCP
import Reactor
import Translation

/// Where a call is, and what it holds. It is the state of a ``TranslatedCall``, and only this file changes it.
class CallProgress {
    fileprivate enum Wait {
        case session(SessionWaiter)
        case list(ListWaiter)
        /// For the answer, or until this: then the call becomes a task.
        case promotion(Deadline)
        /// For nothing: this call has what was sent, and gets what still comes here of it.
        case over(by: any TranslatedCall)
    }

    fileprivate(set) final var course: CallCourse
    /// Kept until the call has ended, over all attempts.
    fileprivate final var turn: CallTurn?
    fileprivate final var wait: Wait?
    /// The number of the latest task that waits for a step: the call does not go on with an earlier one.
    fileprivate final var waitNumber = 0
    fileprivate(set) final var lease: Lease?
    /// What was sent, until its answer is taken.
    fileprivate(set) final var call: LegacyCall?

    init(isExclusive: Bool) { course = CallCourse(isExclusive: isExclusive) }

    /// A client hears something of the call.
    final func noteClientWasTold() { course.noteClientWasTold() }

    /// The call is prepared, and waits for answers to what the server asked before.
    final func holdCall() { course.holdCall() }

    /// The call is to be sent once more: its user did what the server wanted done first.
    final func beginSending(isPrepared: Bool) { course.beginSending(isPrepared: isPrepared) }
}

/// A call of a client that goes to a session of the server and back. ``CallCourse`` decides, and what it decides is done here: at once
/// where nothing has to be waited for, and else by a task that ends with its wait. A call that waits for its answer has no task.
protocol TranslatedCall: CallProgress, CallObserver, CallReader {
    var sessions: SessionPool { get }
    var lists: Lists { get }
    /// The key of the sessions that it may use.
    var key: SessionKey { get }
    var caller: Caller { get }
    /// When the latest request for it has waited for long enough.
    var end: Instant { get }
    /// What is asked what the server asks; nil for a call that shares its session.
    var questionObserver: (any QuestionObserver)? { get }
    /// Whether a client waits.
    var isWanted: Bool { get }
    /// The session in which the call is.
    var session: LegacySession? { get }

    /// Calls ``advanceCall(_:)`` with what the server gets.
    func continueCall()
    /// Everything is there: calls ``sendCall(_:on:)``, unless there is something to do before that.
    func dispatchCall(on session: LegacySession)
    /// Why the request is not sent as it is; nil where it may be.
    func obstacle(by parameters: HeaderParameters) -> Obstacle?
    /// The tool runs as a task. Returns whether another carries the request from now on.
    func becomesTask() -> Bool
    /// Whether the request may run twice.
    func mayRepeat(on session: LegacySession) -> Bool
    /// How long the call runs before it becomes a task; nil where it never does.
    func promotionDelay(of request: ModernRequest) -> Duration?
    /// The call has run for so long: it becomes a task, if it can. Returns false where it may be able to later.
    func promoteCall() -> Bool
    /// Gives back what it holds before another attempt.
    func releaseAttempt(_ end: CallCourse.SessionEnd)
    /// Remora refuses to send the request.
    func finishWithRefusal(_ refusal: Refusal)
    /// The server has answered.
    func finishWithResponse(_ answer: LegacyResponse, from session: LegacySession)
    /// There is no answer, and no attempt follows.
    func finishWithFailure(with error: BackendError, _ end: CallCourse.SessionEnd, wasSent: Bool)
}

extension TranslatedCall {
    var session: LegacySession? { lease?.session }

    // MARK: Before it is sent

    /// Does what is next, until something has to be waited for or the call is sent.
    ///
    /// - Parameter request: what the server gets.
    func advanceCall(_ request: ModernRequest) {
        guard isWanted else { return failAttempt(.clientLeft) }
        if course.step == .turn {
            if sessions.turns.isLimited, turn == nil, request.method != .discover { return waitForTurn() }
            course.finishStep()
        }
        if course.step == .session {
            guard let lease = readyLease() else { return waitForLease() }
            self.lease = lease
            course.finishStep()
        }
        guard let session else { return failAttempt(.withoutSession) }
        prepareCall(request, on: session)
    }

    /// The steps between the session and the sending.
    private func prepareCall(_ request: ModernRequest, on session: LegacySession) {
        while true {
            switch course.step {
            case .offer:
                if let refusal = SessionRules.sessionRefusal(of: request, on: session) { return refuseCall(refusal) }
            case .pushChannel:
                if course.isExclusive, !session.knowsPushChannel {
                    return runStep { _ in
                        _ = await session.hasPushChannel()
                        return nil
                    }
                }
            case .headerParameters:
                if request.method == .callTool {
                    guard let parameters = session.readyHeaderParameters else {
                        return waitForHeaderParameters(of: session)
                    }
                    if let obstacle = obstacle(by: parameters), stops(by: obstacle) { return }
                }
            case .logLevel:
                if request.method != .discover, let level = request.logLevel {
                    return runStep { call in
                        await session.setLogLevel(from: level, credentials: call.caller.credentials)
                        return nil
                    }
                }
            case .dispatch:
                return dispatchCall(on: session)
            case .turn, .session, .held, .answer, .over:
                return
            }
            course.finishStep()
        }
    }

    /// Does what a step needs in a task, and goes on.
    ///
    /// - Parameter work: returns what is in the way of the request; nil where nothing is.
    private func runStep(for work: @escaping (Self) async throws(BackendError) -> Obstacle?) {
        waitNumber += 1
        let number = waitNumber
        sessions.loop.spawn {
            let obstacle: Obstacle?
            do throws(BackendError) {
                obstacle = try await work(self)
            } catch {
                guard number == self.waitNumber else { return }
                self.wait = nil
                return self.failAttempt(error)
            }
            guard number == self.waitNumber else { return }
            self.wait = nil
            self.course.finishStep()
            if let obstacle, self.isWanted, self.stops(by: obstacle) { return }
            self.continueCall()
        }
    }

    private func waitForTurn() {
        let turn = CallTurn(of: key.principal)
        self.turn = turn
        runStep { call throws(BackendError) in
            do throws(BackendError) {
                try await call.sessions.turns.takeTurn(turn, until: call.end)
            } catch {
                call.turn = nil
                throw error
            }
            return nil
        }
    }

    private func readyLease() -> Lease? {
        // The server may have lost, with the last session, all that were there.
        if course.lastSession != nil { return nil }
        guard let questionObserver else { return sessions.readyLease(key) }
        return sessions.readyExclusiveLease(key, for: questionObserver)
    }

    private func waitForLease() {
        let waiter = SessionWaiter(until: end)
        wait = .session(waiter)
        runStep { call throws(BackendError) in
            call.lease = try await call.sessions.leaseSession(
                call.key, for: call.questionObserver, after: call.course.lastSession,
                credentials: call.caller.credentials, by: waiter)
            return nil
        }
    }

    private func waitForHeaderParameters(of session: LegacySession) {
        let waiter = ListWaiter(until: end, on: sessions.loop)
        wait = .list(waiter)
        runStep { call throws(BackendError) in
            let parameters = try await call.lists.headerParameters(
                for: session, key: call.key, call.caller.credentials, waiter)
            return call.obstacle(by: parameters)
        }
    }

    /// No client waits any more. What is waited for ends; a call that was sent goes on.
    func lostAllClients() {
        course.noteDesertion()
        switch wait {
        case .session(let waiter): waiter.stopWaiting()
        case .list(let waiter): waiter.cancelWait()
        case .promotion, .over, nil:
            turn?.clientLeft()
            guard course.step == .pushChannel || course.step == .logLevel else { return }
            // What is waited for is the session's, and goes on without the call.
            waitNumber += 1
            failAttempt(.clientLeft)
        }
    }

    /// A client waits again.
    func regainedClient() {
        if case .session(let waiter) = wait { waiter.comeBack() }
    }

    // MARK: Underway

    func sendCall(_ request: ModernRequest, on session: LegacySession) {
        let delay = promotionDelay(of: request)
        let sent = session.beginCall(
            request, credentials: caller.callFields, until: end, wantsProgress: course.isExclusive || delay != nil,
            observer: self)
        followCall(sent)
        if let delay { awaitPromotion(after: delay) }
    }

    /// Has a call that was sent become a task, unless it ends before.
    func awaitPromotion(after delay: Duration) {
        let deadline = Deadline(on: sessions.loop)
        // It is this call's own, and fires no more when that is gone.
        deadline.onExpiry = { [unowned self] in
            guard course.step == .answer, call != nil, !promoteCall(), case .promotion(let deadline) = wait else {
                return
            }
            deadline.set(after: delay)
        }
        deadline.set(after: delay)
        wait = .promotion(deadline)
    }

    /// A client has begun to wait: it does so for as long as the first before the call becomes a task.
    func deferPromotion(by delay: Duration) { if case .promotion(let deadline) = wait { deadline.set(after: delay) } }

    /// Gives what was sent, its session and its turn to another call, and what comes of it from now on.
    func handOver(to heir: some TranslatedCall) {
        heir.course = course
        course.endCall()
        heir.lease = lease.take()
        heir.turn = turn.take()
        heir.call = call.take()
        wait = .over(by: heir)
        heir.call?.handOver(to: heir)
        if let observer = heir.questionObserver { heir.session?.setInteraction(for: observer) }
    }

    private var heir: (any TranslatedCall)? { if case .over(let heir) = wait { heir } else { nil } }

    /// Goes on with a call that was sent.
    func followCall(_ call: LegacyCall) {
        course.noteSending()
        self.call = call
        expectResponse(call)
    }

    /// Waits for what becomes of the call. It may wait for minutes, and a task would hold its frames for as long. There is one only
    /// for a client that reads slowly, for whom the server has to wait, and for what the transport cannot tell of.
    private func expectResponse(_ call: LegacyCall) {
        if hasRoom, call.notifyReader(self) { return }
        sessions.loop.spawn {
            do throws(BackendError) {
                self.takeResponse(try await call.waitForResponse())
            } catch {
                self.failAttempt(error)
            }
        }
    }

    /// Something has come of the call.
    func messagesArrived() {
        guard let call else {
            heir?.messagesArrived()
            return
        }
        do throws(BackendError) {
            // Else it is a question, or what else the server says on the way.
            if let answer = try call.readyResponse() { takeResponse(answer) } else { expectResponse(call) }
        } catch {
            failAttempt(error)
        }
    }

    private func takeResponse(_ answer: LegacyResponse) {
        call = nil
        course.endCall()
        guard let session else {
            // It was given back already, which is done only when no client waits; or the call is another's.
            heir?.takeResponse(answer)
            return
        }
        sessions.noteResponse(answer, on: session)
        finishWithResponse(answer, from: session)
    }

    // MARK: The end

    /// Ends the call by what is in its way. Returns false where it goes on.
    private func stops(by obstacle: Obstacle) -> Bool {
        switch obstacle {
        case .refused(let refusal):
            refuseCall(refusal)
        case .task:
            guard becomesTask() else { return false }
            course.endCall()
        }
        return true
    }

    private func refuseCall(_ refusal: Refusal) {
        course.endCall()
        // An earlier attempt may have run, which no refusal of this one unsays.
        if let doubt = course.doubt { return finishWithFailure(with: doubt, .released, wasSent: true) }
        finishWithRefusal(refusal)
    }

    /// A step has failed, or the call that was sent: makes another attempt, where that can do no harm.
    func failAttempt(_ error: BackendError) {
        if course.step == .over {
            heir?.failAttempt(error)
            return
        }
        let call = call.take()
        if error.kind == .silent || error.kind == .overdue { call?.cancelCall(error) }
        let session = lease?.session
        if case .rejected = error.kind, let session { sessions.noteRejection(on: session) }
        let mayRepeat = error.kind == .noAnswer && session.map { self.mayRepeat(on: $0) } ?? false
        switch course.failStep(error, on: session, isWanted: isWanted, mayRepeat: mayRepeat) {
        case .again(let end):
            releaseAttempt(end)
            continueCall()
        case .over(let error, let end, let wasSent):
            // A process that ends fails its calls by how it ended.
            let isGone = error.kind == .unavailable && key.isOfHandle && sessions.session(ofHandle: key) == nil
            finishWithFailure(with: isGone ? .handleGone : error, end, wasSent: wasSent)
        }
    }

    /// Gives the session back, if it has one.
    func releaseLease(_ end: CallCourse.SessionEnd) {
        guard let lease = lease.take() else { return }
        switch end {
        case .released: break
        case .doubted: sessions.checkSession(lease, caller.credentials)
        case .retired: sessions.retireSession(lease)
        // What the client keeps in the session of a handle is worth more than a question that comes late, which is for the same client.
        case .givenUp where key.isOfHandle: sessions.checkSession(lease, caller.credentials)
        case .givenUp: sessions.giveUpSession(lease)
        case .left: sessions.leaveSessionToOthers(lease)
        }
        sessions.releaseLease(lease)
    }

    /// Gives the turn back, if it has one.
    func releaseTurn() { turn.take()?.endTurn() }
}

extension BackendError {
    /// A call came to a step that needs a session, and has none: a fault of Remora's.
    fileprivate static let withoutSession = BackendError(.unavailable, "Remora lost the session of the call")
}
