import Legacy
import MCP
import Reactor
import Translation

/// Where a call is, and what it holds. It is the state of a ``TranslatedCall``, and only this file changes it.
class CallProgress {
    fileprivate enum Wait {
        case session(SessionWaiter)
        case list(ListWaiter)
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
    final func told() { course.told() }

    /// The call is prepared, and waits for answers to what the server asked before.
    final func held() { course.held() }

    /// The call is to be sent once more: its user did what the server wanted done first.
    final func begin(isPrepared: Bool) { course.begin(isPrepared: isPrepared) }
}

/// A call of a client that goes to a session of the server and back. ``CallCourse`` decides, and what it decides is done here: at once
/// where nothing has to be waited for, and else by a task that ends with its wait. A call that waits for its answer has no task.
protocol TranslatedCall: CallProgress, CallListener, CallReader {
    var sessions: SessionPool { get }
    var lists: Lists { get }
    /// The key of the sessions that it may use.
    var key: SessionKey { get }
    var caller: Caller { get }
    /// When the latest request for it has waited for long enough.
    var end: Instant { get }
    /// What is asked what the server asks; nil for a call that shares its session.
    var questionListener: (any QuestionListener)? { get }
    /// Whether a client waits.
    var isWanted: Bool { get }
    /// The session in which the call is.
    var session: LegacySession? { get }

    /// Calls ``advance(_:)`` with what the server gets.
    func goOn()
    /// Everything is there: calls ``send(_:on:)``, unless there is something to do before that.
    func dispatch(on session: LegacySession)
    /// Why the request is not sent, with this in its header; nil where it may be.
    func refusal(by parameters: HeaderParameters) -> Refusal?
    /// Whether the request may run twice.
    func mayRepeat(on session: LegacySession) -> Bool
    /// Gives back what it holds before another attempt.
    func release(_ end: CallCourse.SessionEnd)
    /// Remora refuses to send the request.
    func refused(_ refusal: Refusal)
    /// The server has answered.
    func answered(_ answer: LegacyAnswer, from session: LegacySession)
    /// There is no answer, and no attempt follows.
    func failed(with error: BackendError, _ end: CallCourse.SessionEnd, wasSent: Bool)
}

extension TranslatedCall {
    var session: LegacySession? { lease?.session }

    // MARK: Before it is sent

    /// Does what is next, until something has to be waited for or the call is sent.
    ///
    /// - Parameter request: what the server gets.
    func advance(_ request: ModernRequest) {
        guard isWanted else { return failed(.clientLeft) }
        if course.step == .turn {
            if sessions.turns.isLimited, turn == nil, request.method != .discover { return waitForTurn() }
            course.reached()
        }
        if course.step == .session {
            guard let lease = readyLease() else { return waitForLease() }
            self.lease = lease
            course.reached()
        }
        guard let session else { return failed(.withoutSession) }
        prepare(request, on: session)
    }

    /// The steps between the session and the sending.
    private func prepare(_ request: ModernRequest, on session: LegacySession) {
        while true {
            switch course.step {
            case .offer:
                if let refusal = SessionRules.refusal(of: request, on: session) { return refuse(refusal) }
            case .pushChannel:
                if course.isExclusive, !session.knowsPushChannel {
                    return wait { _ in
                        _ = await session.hasPushChannel()
                        return nil
                    }
                }
            case .headerParameters:
                if request.method == .callTool {
                    guard let parameters = session.readyHeaderParameters else {
                        return waitForHeaderParameters(of: session)
                    }
                    if let refusal = refusal(by: parameters) { return refuse(refusal) }
                }
            case .logLevel:
                if request.method != .discover, let level = request.logLevel {
                    return wait { call in
                        await session.log(from: level, credentials: call.caller.credentials)
                        return nil
                    }
                }
            case .dispatch:
                return dispatch(on: session)
            case .turn, .session, .held, .answer, .over:
                return
            }
            course.reached()
        }
    }

    /// Does what a step needs in a task, and goes on.
    ///
    /// - Parameter work: returns why the request is refused; nil where it is not.
    private func wait(for work: @escaping (Self) async throws(BackendError) -> Refusal?) {
        waitNumber += 1
        let number = waitNumber
        sessions.loop.spawn {
            let refusal: Refusal?
            do throws(BackendError) {
                refusal = try await work(self)
            } catch {
                guard number == self.waitNumber else { return }
                self.wait = nil
                return self.failed(error)
            }
            guard number == self.waitNumber else { return }
            self.wait = nil
            self.course.reached()
            if let refusal { self.refuse(refusal) } else { self.goOn() }
        }
    }

    private func waitForTurn() {
        let turn = CallTurn(of: key.principal)
        self.turn = turn
        wait { call throws(BackendError) in
            do throws(BackendError) {
                try await call.sessions.turns.take(turn, until: call.end)
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
        guard let questionListener else { return sessions.readyLease(key) }
        return sessions.readyExclusiveLease(key, for: questionListener)
    }

    private func waitForLease() {
        let waiter = SessionWaiter(until: end)
        wait = .session(waiter)
        wait { call throws(BackendError) in
            call.lease = try await call.sessions.lease(
                call.key, for: call.questionListener, after: call.course.lastSession,
                credentials: call.caller.credentials, by: waiter)
            return nil
        }
    }

    private func waitForHeaderParameters(of session: LegacySession) {
        let waiter = ListWaiter(until: end, on: sessions.loop)
        wait = .list(waiter)
        wait { call throws(BackendError) in
            let parameters = try await call.lists.headerParameters(
                for: session, key: call.key, call.caller.credentials, waiter)
            return call.refusal(by: parameters)
        }
    }

    /// No client waits any more. What is waited for ends; a call that was sent goes on.
    func deserted() {
        course.deserted()
        switch wait {
        case .session(let waiter): waiter.leave()
        case .list(let waiter): waiter.cancel()
        case nil:
            turn?.clientLeft()
            guard course.step == .pushChannel || course.step == .logLevel else { return }
            // What is waited for is the session's, and goes on without the call.
            waitNumber += 1
            failed(.clientLeft)
        }
    }

    /// A client waits again.
    func returned() {
        if case .session(let waiter) = wait { waiter.comeBack() }
    }

    // MARK: Underway

    func send(_ request: ModernRequest, on session: LegacySession) {
        let sent = session.call(
            request, credentials: caller.callFields, until: end, wantsProgress: course.isExclusive,
            listener: self)
        follow(sent)
    }

    /// Goes on with a call that was sent.
    func follow(_ call: LegacyCall) {
        course.sent()
        self.call = call
        expect(call)
    }

    /// Waits for what becomes of the call. It may wait for minutes, and a task would hold its frames for as long. There is one only
    /// for a client that reads slowly, for whom the server has to wait, and for what the transport cannot tell of.
    private func expect(_ call: LegacyCall) {
        if hasRoom, call.tell(self) { return }
        sessions.loop.spawn {
            do throws(BackendError) {
                self.take(try await call.answer())
            } catch {
                self.failed(error)
            }
        }
    }

    /// Something has come of the call.
    func news() {
        guard let call else { return }
        do throws(BackendError) {
            // Else it is a question, or what else the server says on the way.
            if let answer = try call.readyAnswer() { take(answer) } else { expect(call) }
        } catch {
            failed(error)
        }
    }

    private func take(_ answer: LegacyAnswer) {
        call = nil
        course.ended()
        // It was given back already, which is done only when no client waits.
        guard let session else { return }
        sessions.heard(answer, on: session)
        answered(answer, from: session)
    }

    // MARK: The end

    private func refuse(_ refusal: Refusal) {
        course.ended()
        refused(refusal)
    }

    /// A step has failed, or the call that was sent: makes another attempt, where that can do no harm.
    func failed(_ error: BackendError) {
        if course.step == .over { return }
        let call = call.take()
        if error.kind == .silent || error.kind == .overdue { call?.cancel(error) }
        let session = lease?.session
        if case .rejected = error.kind, let session { sessions.rejected(on: session) }
        let mayRepeat = error.kind == .noAnswer && session.map { self.mayRepeat(on: $0) } ?? false
        switch course.failed(error, on: session, isWanted: isWanted, mayRepeat: mayRepeat) {
        case .again(let end):
            release(end)
            goOn()
        case .over(let error, let end, let wasSent):
            failed(with: error, end, wasSent: wasSent)
        }
    }

    /// Gives the session back, if it has one.
    func releaseLease(_ end: CallCourse.SessionEnd) {
        guard let lease = lease.take() else { return }
        switch end {
        case .released: break
        case .doubted: sessions.check(lease, caller.credentials)
        case .retired: sessions.retire(lease)
        case .givenUp: sessions.giveUp(lease)
        }
        sessions.release(lease)
    }

    /// Gives the turn back, if it has one.
    func releaseTurn() { turn.take()?.giveBack() }
}

extension BackendError {
    /// A call came to a step that needs a session, and has none: a fault of Remora's.
    fileprivate static let withoutSession = BackendError(.unavailable, "Remora lost the session of the call")
}
