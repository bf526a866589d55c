import Crypto
import JSONText
import Legacy
import MCP
import Reactor
import Telemetry
import Translation

/// A task of a client: what is known of it, its questions, and its outcome once that is known. Where it runs is its ``TaskSource``'s part.
///
/// It is held by ``HeldTasks``, and by its source until its end.
final class HeldTask {
    /// What came of asking the server.
    enum Poll {
        /// What is known of the task is what the server says.
        case done
        /// The server gave an error that says nothing of the task.
        case refused(LegacyResponse)
        case failed(BackendError)
    }

    /// Why nothing is wanted of its source any more.
    enum End {
        /// The server has ended the task.
        case ended
        /// The server has lost the session in which it ran.
        case lost
        /// No client wants it: what runs of it is to be cancelled.
        case unwanted
        /// The process is about to stop.
        case stopped
    }

    /// For so long an answer of the server is good for further requests.
    private static let freshness: Duration = .milliseconds(50)

    let id: CallID
    let principal: KeyedHash
    /// When it is given up, whatever has become of it.
    let expires: Instant
    let session: LegacySession
    /// Nil once it has ended.
    private var source: (any TaskSource)?
    private unowned let table: HeldTasks
    private let caching: CachePolicy
    private let loop: Loop
    private let log: Log
    /// Of the latest request.
    private(set) var credentials: Credentials
    private(set) var description: TaskDescription
    private var questions: TaskQuestions
    private var outcome: TaskOutcome?
    /// Bytes of the outcome.
    private(set) var keptSize = 0
    private var polling: Wakeup?
    private var lastPoll = Poll.done
    private var freshUntil: Instant
    /// Signalled when there is a question, or an outcome, or none is to be expected, and when the server tells of the task.
    private let changed = Wakeup()
    /// How often the server has told of it.
    private var tellings = 0

    /// - Parameters:
    ///   - session: in which it runs.
    ///   - makeSource: makes what it is of.
    init(
        as id: CallID, described description: TaskDescription, of caller: Caller, until expires: Instant,
        asking questions: TaskQuestions, on session: LegacySession, in table: HeldTasks,
        caching: CachePolicy, loop: Loop, log: Log, from makeSource: (HeldTask) -> any TaskSource
    ) {
        self.loop = loop
        self.log = log
        self.id = id
        principal = caller.principal
        self.expires = expires
        self.session = session
        self.table = table
        self.caching = caching
        credentials = caller.credentials
        self.description = description
        self.questions = questions
        freshUntil = loop.now
        source = makeSource(self)
    }

    var serverInfo: ServerInfo { session.handshake.serverInfo }

    /// Where it is, as far as is known.
    var state: TaskState { outcome.map { .ended($0) } ?? TaskState(questions.open) }

    var hasEnded: Bool { outcome != nil }

    /// Whether nothing comes of it any more: it has ended, or the process is about to stop.
    private var isOver: Bool { outcome != nil || source == nil }

    var isAsking: Bool { !questions.open.isEmpty }

    /// What a client has to declare to be shown its questions.
    var needs: InputCapabilities { outcome == nil ? questions.needs : .none }

    /// Returns when something may have changed of it, and at `end`.
    func waitForNews(until end: Instant) async {
        let (before, keys) = (tellings, questions.open.map(\.key))
        await waitForChange(
            while: { tellings == before && outcome == nil && questions.open.map(\.key) == keys }, until: end)
    }

    /// Returns when a condition does not hold any more after a change, and at `end`.
    func waitForChange(while condition: () -> Bool, until end: Instant) async {
        await changed.wait(while: condition, until: end, on: loop)
    }

    /// Something has changed that its source waits for.
    func signalChange() { changed.signal() }

    /// How long to wait between two looks at it.
    var pollInterval: Duration {
        let wished = description.pollIntervalMs.map { Duration.milliseconds($0) } ?? .seconds(1)
        return min(max(wished, .milliseconds(200)), .seconds(10))
    }

    // MARK: What its client wants

    /// Asks the server where the task is, once for requests that come together.
    ///
    /// - Parameter end: when the request that wants to know has taken too long.
    func pollServer(_ credentials: Credentials, until end: Instant) async -> Poll {
        guard let source, loop.now >= freshUntil else { return .done }
        if let polling {
            await polling.wait()
            return lastPoll
        }
        self.credentials = credentials
        let wakeup = Wakeup()
        polling = wakeup
        lastPoll = await source.askServer(until: end)
        polling = nil
        wakeup.signal()
        return lastPoll
    }

    /// Answers to its questions.
    ///
    /// - Throws: for one of the wrong shape; nothing goes to the server then.
    func deliverAnswers(_ responses: InputResponses, _ credentials: Credentials) async throws(InputFlaw) {
        guard let source else { return }
        self.credentials = credentials
        let replies = try questions.takeAnswers(by: responses, in: session.handshake.revision)
        freshUntil = loop.now
        do throws(BackendError) {
            // It may end meanwhile: its session can be another call's then.
            for reply in replies where outcome == nil { try await source.sendAnswer(reply) }
        } catch {
            if error.kind == .sessionLost { return endByLoss() }
            // Only an answer to a request tells that the session is lost.
            _ = await source.askServer(until: loop.now + .seconds(5))
            end(
                failure:
                    "An answer did not reach the MCP server: \(error.detail). What the task did is not known: check "
                    + "before you call again.", reason: "outcome_unknown", .unwanted)
        }
    }

    /// Asks the server to cancel it. One that has ended, or cannot be cancelled, goes on as it is.
    ///
    /// - Returns: why the server was not asked.
    func cancelTask(_ credentials: Credentials, until end: Instant) async -> BackendError? {
        guard let source else { return nil }
        self.credentials = credentials
        freshUntil = loop.now
        return await source.cancelTask(until: end)
    }

    // MARK: What its source hears

    /// What the server says of the task.
    ///
    /// - Parameter isAsked: whether it says so because it was asked.
    func noteStatus(_ task: LegacyTask, isAsked: Bool) {
        guard outcome == nil else { return }
        description.update(task, now: HeldTask.now, maxTTL: description.ttlMs)
        freshUntil = loop.now + (isAsked ? HeldTask.freshness : .zero)
        if !isAsked { noteTelling() }
    }

    /// The server says what it is doing.
    ///
    /// - Parameter message: a JSON string.
    func noteMessage(_ message: [UInt8]) {
        guard outcome == nil else { return }
        description.statusMessage = message
        noteChange()
        noteTelling()
    }

    /// It changes now, whatever its server says of that.
    func noteChange() { if outcome == nil { description.lastUpdatedAt = HeldTask.now } }

    private func noteTelling() {
        tellings += 1
        changed.signal()
    }

    /// A JSON string.
    static var now: [UInt8] { Array("\"\(UnixTime.now.iso8601)\"".utf8) }

    /// The server asks. Returns false where the question is for no client any more.
    func addQuestion(_ question: Envelope) -> Bool {
        guard outcome == nil else { return false }
        if let reply = questions.addQuestion(question, resumptions: session.resumptions) {
            loop.spawn { [session, credentials] in try? await session.sendNotification(reply, credentials: credentials)
            }
        }
        changed.signal()
        return true
    }

    /// The server asks on a session on which no client can be asked.
    func noteRefusal(of question: Envelope) { questions.noteRefusal(of: question) }

    func withdrawQuestion(_ questionID: [UInt8]) { if questions.withdrawQuestion(questionID) { changed.signal() } }

    // MARK: The end

    /// The server has answered the call of the task.
    ///
    /// - Parameter isOfTask: whether it is the answer to `tasks/result`: then an object that is no result of a call means a failure.
    func end(by answer: LegacyResponse, isOfTask: Bool) {
        guard outcome == nil else { return }
        // As of any call: a question that the client could not be asked was the reason.
        if answer.isFailure, !questions.refused.isEmpty {
            let refusal = Refusal.missingCapabilities(questions.refused, hasRun: true)
            return end(TaskOutcome(failure: refusal.message, code: refusal.code, data: refusal.data))
        }
        let context = ResultContext(serverInfo: serverInfo, caching: caching)
        do throws(TranslationError) {
            let outcome =
                isOfTask
                ? try TaskOutcome(answer.outcome, in: answer.document, saying: description.statusMessage, with: context)
                : try TaskOutcome(ofCall: answer.outcome, in: answer.document, with: context)
            // A part of the answer keeps all of it.
            keptSize = answer.document.bytes.count
            end(outcome)
        } catch {
            end(
                failure: "The task has ended, and the MCP server's answer has a result or an error that is no object.",
                reason: "outcome_unknown")
        }
    }

    /// The server has lost the session in which the task ran.
    func endByLoss() {
        end(
            failure: "The session with the MCP server in which the task ran is lost. What the task did is not known: "
                + "check before you call again.", reason: "session_lost", .lost)
    }

    func end(failure message: String, reason: StaticString, _ end: End = .ended) {
        guard !isOver else { return }
        var text: [UInt8] = []
        text.appendJSON(message)
        description.statusMessage = text
        log.write(.info, "task_failed") { line in
            line.field("principal", principal.short)
            line.field("reason", reason)
        }
        self.end(TaskOutcome(failure: message, reason: reason), end)
    }

    func end(_ outcome: TaskOutcome, _ end: End = .ended) {
        guard !isOver else { return }
        self.outcome = outcome
        keptSize = max(keptSize, outcome.size)
        letGo(end)
        table.keepOutcome(outcome, of: self)
        changed.signal()
    }

    /// Nothing is wanted of its source any more.
    private func letGo(_ end: End) { source.take()?.letGo(end, unanswered: closeQuestions()) }

    /// Ends its open questions: no client answers them any more. Returns the responses that say so.
    func closeQuestions() -> [[UInt8]] { questions.closeQuestions() }

    /// It is held no longer. A task that goes on is cancelled at the server: no client could get its result.
    func endHolding() { end(failure: "The task has outlived its time.", reason: "expired", .unwanted) }

    /// The process is about to stop.
    func stopTask() { source.take()?.letGo(.stopped, unanswered: []) }
}
