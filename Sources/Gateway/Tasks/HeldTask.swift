import Crypto
import JSONText
import Legacy
import MCP
import Reactor
import Telemetry
import Translation

/// A task of a client: which task of the server it is, what is known of it, and its outcome once that is known.
///
/// The requests of its client drive it: each asks the server, and requests that come together ask once. It is held by ``HeldTasks``, and
/// by its session for as long as the server may say something about it.
final class HeldTask {
    /// What came of asking the server.
    enum Poll {
        /// What is known of the task is what the server says.
        case done
        /// The server gave an error that says nothing of the task.
        case refused(LegacyResponse)
        case failed(BackendError)
    }

    /// For so long an answer of the server is good for further requests.
    private static let freshness: Duration = .milliseconds(50)
    /// How long a request waits for the first question of a stream that was opened for it, and for an outcome that is on its way.
    private static let questionPatience: Duration = .milliseconds(500)
    private static let outcomePatience: Duration = .seconds(5)
    /// How often the result of a task may break off.
    private static let maxFetches = 3

    let id: CallID
    let principal: KeyedHash
    /// When it is given up, whatever has become of it.
    let expires: Instant
    /// In UTF-8.
    private let legacyID: [UInt8]
    let session: LegacySession
    /// Keeps the session; nil where nothing is wanted of it any more.
    private var lease: Lease?
    private let sessions: SessionPool
    private unowned let table: HeldTasks
    private let caching: CachePolicy
    private let log: Log
    /// Of the latest request.
    private var credentials: Credentials
    private(set) var description: TaskDescription
    private var questions: TaskQuestions
    private var outcome: TaskOutcome?
    /// Bytes of the outcome.
    private(set) var keptSize = 0
    /// `tasks/result`, where the server is asked for it before the end.
    private var resultCall: LegacyCall?
    private var fetches = 0
    private var polling: Wakeup?
    private var lastPoll = Poll.done
    private var freshUntil: Instant
    /// Signalled when there is a question, or a result, or none is to be expected, and when the server tells of the task.
    private let changed = Wakeup()
    /// How often the server has told of it.
    private var tellings = 0

    /// A task that the server has just made.
    ///
    /// - Parameter lease: on the session that made it.
    init(
        _ task: LegacyTask, as id: CallID, described description: TaskDescription, of caller: Caller,
        until expires: Instant,
        declaring capabilities: InputCapabilities, on lease: Lease, of sessions: SessionPool, in table: HeldTasks,
        caching: CachePolicy, log: Log
    ) {
        self.log = log
        self.id = id
        principal = caller.principal
        self.expires = expires
        legacyID = task.id
        session = lease.session
        self.lease = lease
        self.sessions = sessions
        self.table = table
        self.caching = caching
        credentials = caller.credentials
        self.description = description
        questions = TaskQuestions(declared: capabilities)
        freshUntil = sessions.loop.now
        session.claimTask(legacyID, for: self)
    }

    private var loop: Loop { sessions.loop }

    var serverInfo: ServerInfo { session.handshake.serverInfo }

    /// Where it is, as far as is known.
    var state: TaskState { outcome.map { .ended($0) } ?? TaskState(questions.open) }

    var hasEnded: Bool { outcome != nil }

    /// What a client has to declare to be shown its questions.
    var needs: InputCapabilities { outcome == nil ? questions.needs : .none }

    /// Returns when something may have changed of it, and at `end`.
    func waitForNews(until end: Instant) async {
        let (before, keys) = (tellings, questions.open.map(\.key))
        await changed.wait(
            while: { tellings == before && outcome == nil && questions.open.map(\.key) == keys }, until: end, on: loop)
    }

    /// How long to wait between two looks at it.
    var pollInterval: Duration {
        let wished = description.pollIntervalMs.map { Duration.milliseconds($0) } ?? .seconds(1)
        return min(max(wished, .milliseconds(200)), .seconds(10))
    }

    // MARK: Asking the server

    /// Asks the server where the task is.
    ///
    /// - Parameter end: when the request that wants to know has taken too long.
    func pollServer(_ credentials: Credentials, until end: Instant) async -> Poll {
        if outcome != nil || loop.now < freshUntil { return .done }
        if let polling {
            await polling.wait()
            return lastPoll
        }
        self.credentials = credentials
        let wakeup = Wakeup()
        polling = wakeup
        lastPoll = await ask(until: end)
        polling = nil
        wakeup.signal()
        return lastPoll
    }

    private func ask(until end: Instant) async -> Poll {
        if session.isClosed { return lost() }
        let answer: LegacyResponse
        do throws(BackendError) {
            answer = try await session.task(legacyID, credentials: credentials, until: end).waitForResponse()
        } catch {
            return failed(error)
        }
        guard outcome == nil else { return .done }
        if let task = answer.task(named: legacyID) {
            freshUntil = loop.now + HeldTask.freshness
            noteStatus(task)
            return await follow(task.status, until: end)
        }
        guard case .error = answer.outcome else {
            return .failed(BackendError(.outcomeUnknown, "its answer to tasks/get is about no task, or another"))
        }
        guard answer.isOfUnknownTask else { return .refused(answer) }
        self.end(
            failure: "The MCP server does not know the task any more. What it did is not known: check before you "
                + "call again.", reason: "task_lost")
        return .done
    }

    private func follow(_ status: LegacyTask.Status, until end: Instant) async -> Poll {
        switch status {
        case .working:
            return .done
        case .inputRequired:
            if questions.open.isEmpty, openResult() {
                await changed.wait(
                    while: { questions.open.isEmpty && resultCall != nil },
                    until: min(end, loop.now + HeldTask.questionPatience), on: loop)
            }
            return .done
        case .cancelled:
            self.end(.cancelled)
            return .done
        case .completed, .failed:
            return await fetch(until: end)
        }
    }

    /// What the server says of the task, as far as it does not take back an end.
    private func noteStatus(_ task: LegacyTask) {
        description.update(task, now: HeldTask.now, maxTTL: description.ttlMs)
    }

    /// A JSON string.
    static var now: [UInt8] { Array("\"\(UnixTime.now.iso8601)\"".utf8) }

    /// Gets the outcome of a task that has ended.
    private func fetch(until end: Instant) async -> Poll {
        if resultCall != nil {
            // It is about to come there.
            await changed.wait(
                while: { resultCall != nil }, until: min(end, loop.now + HeldTask.outcomePatience), on: loop)
            if outcome != nil { return .done }
        }
        do throws(BackendError) {
            let answer = try await session.taskResult(
                legacyID, credentials: credentials, until: end, observer: self
            ).waitForResponse()
            if outcome == nil { self.end(by: answer) }
            return .done
        } catch {
            if outcome != nil { return .done }
            fetches += 1
            guard error.kind == .outcomeUnknown || error.kind == .noAnswer && fetches >= HeldTask.maxFetches else {
                return failed(error)
            }
            self.end(
                failure:
                    "The task has ended, and the MCP server's answer to tasks/result cannot be used: \(error.detail).",
                reason: "outcome_unknown")
            return .done
        }
    }

    /// Has the server ask what it asks on the stream of `tasks/result` alone. Returns whether the stream is a new one.
    private func openResult() -> Bool {
        guard resultCall == nil, outcome == nil else { return false }
        let call = session.taskResult(legacyID, credentials: credentials, until: expires, observer: self)
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
            if error.kind == .sessionLost { _ = lost() }
            return forget(call)
        }
        if outcome == nil {
            if answer.isOfCall { end(by: answer) } else { await judge(answer) }
        }
        forget(call)
    }

    private func forget(_ call: LegacyCall) {
        if resultCall === call { resultCall = nil }
        changed.signal()
    }

    /// What is no result of a call is the end of the task, or a refusal to answer before that.
    private func judge(_ answer: LegacyResponse) async {
        let status = try? await session.task(legacyID, credentials: credentials, until: loop.now + .seconds(5))
            .waitForResponse()
        guard outcome == nil, let task = status?.task(named: legacyID), task.status.isTerminal else { return }
        noteStatus(task)
        if task.status == .cancelled { end(.cancelled) } else { end(by: answer) }
    }

    private func failed(_ error: BackendError) -> Poll {
        guard error.kind == .sessionLost else { return .failed(error) }
        if let lease { sessions.retireSession(lease) }
        return lost()
    }

    // MARK: What its client says

    /// Answers to its questions.
    ///
    /// - Throws: for one of the wrong shape; nothing goes to the server then.
    func deliverAnswers(_ responses: InputResponses, _ credentials: Credentials) async throws(InputFlaw) {
        if outcome != nil { return }
        self.credentials = credentials
        let replies = try questions.takeAnswers(by: responses, in: session.handshake.revision)
        freshUntil = loop.now
        do throws(BackendError) {
            for reply in replies {
                try await session.sendNotification(TaskRequest.related(reply, to: legacyID), credentials: credentials)
            }
        } catch {
            guard outcome == nil else { return }
            if error.kind == .sessionLost {
                _ = failed(error)
            } else {
                session.cancelTask(legacyID, credentials: credentials)
                end(failure: "An answer did not reach the MCP server: \(error.detail).", reason: "outcome_unknown")
            }
        }
    }

    /// Asks the server to cancel it. One that has ended, or cannot be cancelled, goes on as it is.
    ///
    /// - Returns: why the server was not asked.
    func cancelTask(_ credentials: Credentials, until end: Instant) async -> BackendError? {
        guard outcome == nil, !session.isClosed, session.handshake.cancelsTasks else { return nil }
        self.credentials = credentials
        freshUntil = loop.now
        let answer: LegacyResponse
        do throws(BackendError) {
            answer = try await session.cancelTask(legacyID, credentials: credentials, until: end).waitForResponse()
        } catch {
            if case .failed(let error) = failed(error) { return error }
            return nil
        }
        guard outcome == nil, let task = answer.task(named: legacyID), task.status == .cancelled else { return nil }
        noteStatus(task)
        self.end(.cancelled)
        return nil
    }

    // MARK: The end

    private func end(by answer: LegacyResponse) {
        do throws(TranslationError) {
            end(
                try TaskOutcome(
                    answer.outcome, in: answer.document, saying: description.statusMessage,
                    with: ResultContext(serverInfo: serverInfo, caching: caching)))
        } catch {
            end(
                failure: "The task has ended, and the MCP server's answer has a result or an error that is no object.",
                reason: "outcome_unknown")
        }
    }

    private func lost() -> Poll {
        end(
            failure: "The session with the MCP server in which the task ran is lost. What the task did is not known: "
                + "check before you call again.", reason: "session_lost")
        return .done
    }

    private func end(failure message: String, reason: StaticString) {
        var text: [UInt8] = []
        text.appendJSON(message)
        description.statusMessage = text
        log.write(.info, "task_failed") { line in
            line.field("principal", principal.short)
            line.field("reason", reason)
        }
        end(TaskOutcome(failure: message, reason: reason))
    }

    private func end(_ outcome: TaskOutcome) {
        self.outcome = outcome
        keptSize = outcome.size
        letGo()
        table.keepOutcome(of: self, size: keptSize)
        changed.signal()
    }

    /// Nothing is wanted of the session any more.
    private func letGo() {
        // Some tools wait for their answers for ever, and some go on with "cancel" as an answer, so that they have to hear first that the
        // task is over.
        let leftovers = questions.closeQuestions()
        if !leftovers.isEmpty, !session.isClosed {
            loop.spawn { [session, credentials, loop] in
                await Pause(on: loop).waitFor(ParkingTimes().leftovers)
                for text in leftovers { try? await session.sendNotification(text, credentials: credentials) }
            }
        }
        session.forgetTask(legacyID)
        resultCall.take()?.failCall(with: HeldTask.over)
        if let lease = lease.take() { sessions.releaseLease(lease) }
    }

    private static let over = BackendError(.cancelled, "the task is over")

    /// It is held no longer. A task that goes on is cancelled at the server: no client could get its result.
    func endHolding() {
        guard outcome == nil else { return }
        session.cancelTask(legacyID, credentials: credentials)
        end(failure: "The task has outlived its time.", reason: "expired")
    }

    /// The process is about to stop.
    func stopTask() {
        guard outcome == nil else { return }
        resultCall.take()?.failCall(with: HeldTask.over)
        session.forgetTask(legacyID)
        if let lease = lease.take() { sessions.releaseLease(lease) }
    }
}

// MARK: What the server says of it

extension HeldTask: TaskObserver {
    func taskArrived(_ task: LegacyTask) {
        guard outcome == nil else { return }
        noteStatus(task)
        freshUntil = loop.now
        tellings += 1
        changed.signal()
    }

    func questionArrived(_ question: Envelope) -> Bool {
        guard outcome == nil else { return false }
        if let reply = questions.addQuestion(question) {
            loop.spawn { [session, credentials] in try? await session.sendNotification(reply, credentials: credentials)
            }
        }
        changed.signal()
        return true
    }

    func questionWithdrawn(_ questionID: [UInt8]) { if questions.withdrawQuestion(questionID) { changed.signal() } }

    func elicitationCompleted(_: [UInt8]) {}

    /// Progress and log messages belong to no task (ext-tasks, "Task Status Notifications").
    func notificationArrived(_: Envelope, _: ServerNotification) {}

    var hasRoom: Bool { true }

    func waitForRoom() async {}
}
