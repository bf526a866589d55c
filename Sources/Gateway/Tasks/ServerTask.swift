import Legacy
import MCP
import Reactor
import Translation

/// A task of the server, as the source of one that is held for a client.
///
/// The requests of the client drive it: each asks the server. It is held by its ``HeldTask`` until the end of that, and by its session for as
/// long as the server may say something about it.
final class ServerTask {
    /// How long a request waits for the first question of a stream that was opened for it, and for an outcome that is on its way.
    private static let questionPatience: Duration = .milliseconds(500)
    private static let outcomePatience: Duration = .seconds(5)
    /// How often the result of a task may break off.
    private static let maxFetches = 3

    private let held: HeldTask
    /// In UTF-8.
    private let legacyID: [UInt8]
    private let session: LegacySession
    /// Keeps the session; nil where nothing is wanted of it any more.
    private var lease: Lease?
    private let sessions: SessionPool
    /// `tasks/result`, where the server is asked for it before the end.
    private var resultCall: LegacyCall?
    private var fetches = 0

    /// A task that the server has just made.
    ///
    /// - Parameter lease: on the session that made it.
    init(_ task: LegacyTask, heldAs held: HeldTask, on lease: Lease, of sessions: SessionPool) {
        self.held = held
        legacyID = task.id
        session = lease.session
        self.lease = lease
        self.sessions = sessions
        session.claimTask(legacyID, for: self)
    }

    private var loop: Loop { sessions.loop }
    private var credentials: Credentials { held.credentials }

    // MARK: Asking the server

    private func follow(_ status: LegacyTask.Status, until end: Instant) async -> HeldTask.Poll {
        switch status {
        case .working:
            return .done
        case .inputRequired:
            if !held.isAsking, openResult() {
                await held.waitForChange(
                    while: { !held.isAsking && resultCall != nil },
                    until: min(end, loop.now + ServerTask.questionPatience))
            }
            return .done
        case .cancelled:
            held.end(.cancelled)
            return .done
        case .completed, .failed:
            return await fetch(until: end)
        }
    }

    /// Gets the outcome of a task that has ended.
    private func fetch(until end: Instant) async -> HeldTask.Poll {
        if resultCall != nil {
            // It is about to come there.
            await held.waitForChange(
                while: { resultCall != nil }, until: min(end, loop.now + ServerTask.outcomePatience))
            if held.hasEnded { return .done }
        }
        do throws(BackendError) {
            let answer = try await session.taskResult(
                legacyID, credentials: credentials, until: end, observer: self
            ).waitForResponse()
            held.end(by: answer, isOfTask: true)
            return .done
        } catch {
            if held.hasEnded { return .done }
            fetches += 1
            guard error.kind == .outcomeUnknown || error.kind == .noAnswer && fetches >= ServerTask.maxFetches else {
                return failed(error)
            }
            held.end(
                failure:
                    "The task has ended, and the MCP server's answer to tasks/result cannot be used: \(error.detail).",
                reason: "outcome_unknown")
            return .done
        }
    }

    /// Has the server ask what it asks on the stream of `tasks/result` alone. Returns whether the stream is a new one.
    private func openResult() -> Bool {
        guard resultCall == nil, !held.hasEnded else { return false }
        let call = session.taskResult(legacyID, credentials: credentials, until: held.expires, observer: self)
        // It is the client that the server waits for.
        call.suspendTimeout()
        resultCall = call
        loop.spawn { await self.follow(call) }
        return true
    }

    private func follow(_ call: LegacyCall) async {
        let answer: LegacyResponse
        do throws(BackendError) {
            answer = try await call.waitForResponse()
        } catch {
            if error.kind == .sessionLost { held.endByLoss() }
            return forget(call)
        }
        if !held.hasEnded {
            if answer.isOfCall { held.end(by: answer, isOfTask: true) } else { await judge(answer) }
        }
        forget(call)
    }

    private func forget(_ call: LegacyCall) {
        if resultCall === call { resultCall = nil }
        held.signalChange()
    }

    /// What is no result of a call is the end of the task, or a refusal to answer before that.
    private func judge(_ answer: LegacyResponse) async {
        let status = try? await session.task(legacyID, credentials: credentials, until: loop.now + .seconds(5))
            .waitForResponse()
        guard !held.hasEnded, let task = status?.task(named: legacyID), task.status.isTerminal else { return }
        held.noteStatus(task, isAsked: true)
        if task.status == .cancelled { held.end(.cancelled) } else { held.end(by: answer, isOfTask: true) }
    }

    private func failed(_ error: BackendError) -> HeldTask.Poll {
        guard error.kind == .sessionLost else { return .failed(error) }
        held.endByLoss()
        return .done
    }
}

extension ServerTask: TaskSource {
    func askServer(until end: Instant) async -> HeldTask.Poll {
        if session.isClosed {
            held.endByLoss()
            return .done
        }
        let answer: LegacyResponse
        do throws(BackendError) {
            answer = try await session.task(legacyID, credentials: credentials, until: end).waitForResponse()
        } catch {
            return failed(error)
        }
        guard !held.hasEnded else { return .done }
        if let task = answer.task(named: legacyID) {
            held.noteStatus(task, isAsked: true)
            return await follow(task.status, until: end)
        }
        guard case .error = answer.outcome else {
            return .failed(BackendError(.outcomeUnknown, "its answer to tasks/get is about no task, or another"))
        }
        guard answer.isOfUnknownTask else { return .refused(answer) }
        held.end(
            failure: "The MCP server does not know the task any more. What it did is not known: check before you "
                + "call again.", reason: "task_lost")
        return .done
    }

    func sendAnswer(_ reply: [UInt8]) async throws(BackendError) {
        try await session.sendNotification(TaskRequest.related(reply, to: legacyID), credentials: credentials)
    }

    func cancelTask(until end: Instant) async -> BackendError? {
        guard !session.isClosed, session.handshake.cancelsTasks else { return nil }
        let answer: LegacyResponse
        do throws(BackendError) {
            answer = try await session.cancelTask(legacyID, credentials: credentials, until: end).waitForResponse()
        } catch {
            if case .failed(let error) = failed(error) { return error }
            return nil
        }
        guard !held.hasEnded, let task = answer.task(named: legacyID), task.status == .cancelled else { return nil }
        held.noteStatus(task, isAsked: true)
        held.end(.cancelled)
        return nil
    }

    /// A server that knows that the task is over wants no answer any more: its tool would go on with it, and the published Python SDK ends
    /// the whole session by one. Only where a task cannot be cancelled does its tool wait for ever without one.
    func letGo(_ end: HeldTask.End, unanswered: [[UInt8]]) {
        if case .unwanted = end, !session.isClosed {
            session.cancelTask(legacyID, credentials: credentials)
            if !session.handshake.cancelsTasks { sendUnanswered(unanswered) }
        }
        session.forgetTask(legacyID)
        resultCall.take()?.failCall(with: BackendError(.cancelled, "the task is over"))
        guard let lease = lease.take() else { return }
        if case .lost = end { sessions.retireSession(lease) }
        sessions.releaseLease(lease)
    }
}

extension ServerTask {
    private func sendUnanswered(_ responses: [[UInt8]]) {
        loop.spawn { for response in responses { try? await self.sendAnswer(response) } }
    }
}

// MARK: What the server says of it

extension ServerTask: TaskObserver {
    func taskArrived(_ task: LegacyTask) { held.noteStatus(task, isAsked: false) }

    func questionArrived(_ question: Envelope) -> Bool { held.addQuestion(question) }

    func questionWithdrawn(_ questionID: [UInt8]) { held.withdrawQuestion(questionID) }

    func elicitationCompleted(_: [UInt8]) {}

    /// Progress and log messages belong to no task (ext-tasks, "Task Status Notifications").
    func notificationArrived(_: Envelope, _: ServerNotification) {}

    var hasRoom: Bool { true }

    func waitForRoom() async {}
}
