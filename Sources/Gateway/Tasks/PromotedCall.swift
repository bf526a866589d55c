import JSONText
import Legacy
import MCP
import Reactor
import Translation

/// A call that runs on as a task of its client, with the session and the turn of the call that its requests waited for (decision 0051).
final class PromotedCall: CallProgress, SpareCall {
    /// How often its client is to ask, in milliseconds. Nothing goes to the server for it.
    static let pollInterval = 1000
    /// Bytes of a message of progress as it is spelled.
    private static let maxMessage = 4096

    let sessions: SessionPool
    let lists: Lists
    let key: SessionKey
    let caller: Caller
    private let held: HeldTask
    private let interactions: Interactions
    /// Whether the server may be silent, since it waits for the client.
    private var isSuspended = false

    /// - Parameters:
    ///   - call: was sent, and ends.
    ///   - interactions: know which calls could do without their sessions.
    init(_ call: some TranslatedCall, as held: HeldTask, among interactions: Interactions) {
        self.held = held
        self.interactions = interactions
        sessions = call.sessions
        lists = call.lists
        key = call.key
        caller = call.caller
        super.init(isExclusive: call.course.isExclusive)
        call.handOver(to: self)
        self.call?.resumeTimeout(until: end, silence: nil)
    }

    /// While a question is open the server may be silent, and the session can be spared.
    private func adjustTimeout() {
        guard held.isAsking != isSuspended else { return }
        isSuspended = held.isAsking
        interactions.markSpare(self, isSuspended && lease != nil)
        if isSuspended {
            call?.suspendTimeout()
        } else {
            let isKept = held.session.isKept
            call?.resumeTimeout(until: end, silence: isKept ? nil : InteractiveCall.sessionlessSilence)
        }
    }

    func yieldSession() {
        held.end(
            failure: "The task waited for an answer of its client, and its session with the MCP server was needed for "
                + "another call. What the task did is not known: check before you call again.", reason: "room_needed",
            .unwanted)
        call?.failCall(with: .unwantedTask)
        releaseAll(.givenUp)
    }
}

// MARK: Its course

extension PromotedCall: TranslatedCall {
    var end: Instant { held.expires }
    var questionObserver: (any QuestionObserver)? { course.isExclusive ? self : nil }
    /// It is not sent again.
    var isWanted: Bool { false }

    func continueCall() {}

    func dispatchCall(on _: LegacySession) {}

    func obstacle(by _: HeaderParameters) -> Obstacle? { nil }

    func becomesTask() -> Bool { false }

    func promotionDelay(of _: ModernRequest) -> Duration? { nil }

    func promoteCall() -> Bool { true }

    func mayRepeat(on _: LegacySession) -> Bool { false }

    func releaseAttempt(_ end: CallCourse.SessionEnd) { releaseAll(end) }

    private func releaseAll(_ end: CallCourse.SessionEnd) {
        interactions.markSpare(self, false)
        releaseLease(end)
        releaseTurn()
    }

    func finishWithRefusal(_: Refusal) { releaseAll(.released) }

    func finishWithResponse(_ answer: LegacyResponse, from session: LegacySession) {
        // As of a parked call: the server hears that no answer will come.
        let unanswered = held.closeQuestions()
        if !unanswered.isEmpty {
            sessions.loop.spawn { [credentials = held.credentials] in
                for response in unanswered { try? await session.sendNotification(response, credentials: credentials) }
            }
        }
        releaseAll(.released)
        held.noteChange()
        held.end(by: answer, isOfTask: false)
    }

    func finishWithFailure(with error: BackendError, _ end: CallCourse.SessionEnd, wasSent _: Bool) {
        releaseAll(end)
        held.noteChange()
        if error.kind == .sessionLost { return held.endByLoss() }
        held.end(
            failure: "The MCP server gave no answer to the call: \(error.detail). What it did is not known: check "
                + "before you call again.", reason: "outcome_unknown")
    }
}

extension PromotedCall: TaskSource {
    /// What becomes of the call is heard.
    func askServer(until _: Instant) async -> HeldTask.Poll { .done }

    func sendAnswer(_ reply: [UInt8]) async throws(BackendError) {
        adjustTimeout()
        try await held.session.sendNotification(reply, credentials: held.credentials)
    }

    func cancelTask(until _: Instant) async -> BackendError? {
        held.noteChange()
        held.end(.cancelled, .unwanted)
        return nil
    }

    func letGo(_ end: HeldTask.End, unanswered: [[UInt8]]) {
        guard let call else { return }
        if case .stopped = end {
            call.cancelCall(.unwantedTask)
            return releaseAll(.givenUp)
        }
        if case .lost = end, let lease { sessions.retireSession(lease) }
        // The session is good for others if the server lets go of the call.
        call.askToStop(.unwantedTask)
        sessions.loop.spawn {
            let times = ParkingTimes()
            // Some tools wait for their answers for ever, and some go on with "cancel" as an answer, so that they hear first that the call
            // is over. Once the server has answered it, the session is for others, and so is an id of its questions.
            await Pause(on: self.sessions.loop).waitFor(times.leftovers)
            for response in unanswered where self.lease != nil {
                try? await self.held.session.sendNotification(response, credentials: self.held.credentials)
            }
            await Pause(on: self.sessions.loop).waitFor(times.cancellation - times.leftovers)
            self.call?.failCall(with: .unwantedTask)
        }
    }
}

// MARK: What the server says before its response, on any stream

extension PromotedCall: QuestionObserver {
    /// Progress belongs to no task (ext-tasks, "Task Status Notifications"). What it says in words is the task's own message.
    func notificationArrived(_ notification: Envelope, _ kind: ServerNotification) {
        guard case .progress = kind, let params = notification.params,
            let message = notification.document.value("message", of: params, .string),
            message.count <= PromotedCall.maxMessage
        else { return }
        held.noteMessage(Array(notification.document.raw(message)))
    }

    var hasRoom: Bool { true }

    func waitForRoom() async {}

    /// On a session that others share nothing says whose client is asked.
    func questionArrived(_ question: Envelope) -> Bool {
        guard course.isExclusive else {
            held.noteRefusal(of: question)
            return false
        }
        guard held.addQuestion(question) else { return false }
        adjustTimeout()
        return true
    }

    func questionWithdrawn(_ questionID: [UInt8]) {
        held.withdrawQuestion(questionID)
        adjustTimeout()
    }

    func elicitationCompleted(_: [UInt8]) {}
}

extension BackendError {
    fileprivate static let unwantedTask = BackendError(.cancelled, "the task is not wanted any more")
}
