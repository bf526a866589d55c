import JSONText
import Legacy
import MCP
import Reactor
import Translation

/// A call that runs on as a task of its client, with the session and the turn of the call that its requests waited for (decision 0051).
final class PromotedCall: CallProgress {
    /// How often its client is to ask, in milliseconds. Nothing goes to the server for it.
    static let pollInterval = 1000
    /// Bytes of a message of progress as it is spelled.
    private static let maxMessage = 4096

    let sessions: SessionPool
    let lists: Lists
    let key: SessionKey
    let caller: Caller
    private let held: HeldTask
    /// Whether the server may be silent, since it waits for the client.
    private var isSuspended = false

    /// - Parameter call: was sent, and ends.
    init(_ call: some TranslatedCall, as held: HeldTask) {
        self.held = held
        sessions = call.sessions
        lists = call.lists
        key = call.key
        caller = call.caller
        super.init(isExclusive: call.course.isExclusive)
        call.handOver(to: self)
        self.call?.resumeTimeout(until: end, silence: nil)
    }

    /// The server may be silent while a question is open.
    private func adjustTimeout() {
        guard held.isAsking != isSuspended else { return }
        isSuspended = held.isAsking
        if isSuspended {
            call?.suspendTimeout()
        } else {
            let isKept = held.session.isKept
            call?.resumeTimeout(until: end, silence: isKept ? nil : InteractiveCall.sessionlessSilence)
        }
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
        releaseLease(end)
        releaseTurn()
    }

    func finishWithRefusal(_: Refusal) { releaseAll(.released) }

    func finishWithResponse(_ answer: LegacyResponse, from _: LegacySession) {
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

    func letGo(_ end: HeldTask.End) {
        guard let call else { return }
        let error = BackendError(.cancelled, "the task is not wanted any more")
        if case .stopped = end {
            call.cancelCall(error)
            return releaseAll(.givenUp)
        }
        if case .lost = end, let lease { sessions.retireSession(lease) }
        // The session is good for others if the server lets go of the call.
        call.askToStop(error)
        sessions.loop.spawn {
            await Pause(on: self.sessions.loop).waitFor(ParkingTimes().cancellation)
            self.call?.failCall(with: error)
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
        guard course.isExclusive, held.addQuestion(question) else { return false }
        adjustTimeout()
        return true
    }

    func questionWithdrawn(_ questionID: [UInt8]) {
        held.withdrawQuestion(questionID)
        adjustTimeout()
    }

    func elicitationCompleted(_: [UInt8]) {}
}
