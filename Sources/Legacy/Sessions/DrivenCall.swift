import JSONText
import MCP
import Reactor
import Translation

/// A call that its server runs as a task, as one call: the task is made, and asked for its result. Where the server refuses that
/// before the end, the task is asked for its status until there is one.
///
/// It is made of calls of its own, and hears in the place of its listener what the server says of them: a task is cancelled by a
/// request, which needs the task's name, so that the call goes on for as long as it takes to know that.
final class DrivenCall: LegacyCall {
    /// In the place of the id of a request: no request of a client is a single one toward the server.
    static let noID = 0

    /// Between two looks at a task, whatever the server says: a person waits.
    private static let pauses: ClosedRange<Duration> = .milliseconds(100) ... .seconds(5)
    private static let standardPause: Duration = .seconds(1)
    /// Questions about the task in a row that may have no usable answer.
    private static let maxFailures = 5

    private let loop: Loop
    private var task: LegacyTask?
    /// What is on its way to the server.
    private var current: LegacyCall?
    private var pause: Pause?
    private var outcome: Result<LegacyResponse, BackendError>?
    private let settled = Wakeup()
    private var reader: (any CallReader)?
    /// When it fails if it has no answer.
    private var end: Instant
    /// Whether the server waits for an answer of the client, so that nothing is expected of it.
    private var isSuspended = false

    /// - Parameter terms: with ``noID``.
    init(_ request: ModernRequest, ttl: Int, as terms: Terms) {
        loop = terms.session.loop
        end = terms.end
        super.init(terms)
        loop.spawn { await self.drive(request, ttl: ttl) }
    }

    // MARK: Its course

    private func drive(_ request: ModernRequest, ttl: Int) async {
        let session = terms.session
        do throws(BackendError) {
            let created = try await answer(
                of: session.createTask(
                    request, ttl: ttl, credentials: terms.credentials, until: end, observer: self))
            guard case .result(let result) = created.outcome,
                let task = LegacyTask(createdBy: result, in: created.document)
            else { return conclude(.success(created)) }
            self.task = task
            // No client waits any more, and the task was not known until now.
            if outcome != nil { return session.cancelTask(task.id, credentials: terms.credentials) }
            conclude(.success(try await self.result(of: task)))
        } catch {
            // No client will ask for its result.
            if let task, outcome == nil { session.cancelTask(task.id, credentials: terms.credentials) }
            conclude(.failure(task == nil ? error : DrivenCall.afterStart(error)))
        }
    }

    /// What comes after the task was made does not say that nothing ran.
    private static func afterStart(_ error: BackendError) -> BackendError {
        switch error.kind {
        case .overdue, .cancelled, .outcomeUnknown: error
        default: BackendError(.outcomeUnknown, "the task of the call was lost: \(error.detail)")
        }
    }

    /// Waits until the task has ended.
    private func result(of task: LegacyTask) async throws(BackendError) -> LegacyResponse {
        var task = task
        var failures = 0
        var asksForResult = true
        while true {
            if asksForResult || task.status.isTerminal {
                let hasEnded = task.status.isTerminal
                do throws(BackendError) {
                    let answer = try await answer(
                        of: terms.session.taskResult(
                            task.id, credentials: terms.credentials, until: end, observer: self))
                    if answer.isOfCall { return answer }
                    if hasEnded { return ended(task, answer) }
                    // It may be a refusal to answer so soon (FastMCP).
                    asksForResult = false
                } catch {
                    failures += 1
                    guard error.mayPass, failures <= DrivenCall.maxFailures else { throw error }
                }
            }
            do throws(BackendError) {
                let newest = try await status(of: task)
                failures = 0
                // Where it asks, it may do so on the stream of `tasks/result` alone.
                if newest.status == .inputRequired { asksForResult = true }
                task = newest
            } catch {
                failures += 1
                guard error.mayPass, failures <= DrivenCall.maxFailures else { throw error }
            }
            if !task.status.isTerminal { try await rest(task) }
        }
    }

    /// What the end of a task without a result of a call is to that call.
    private func ended(_ task: LegacyTask, _ answer: LegacyResponse) -> LegacyResponse {
        guard case .result = answer.outcome,
            let document = try? JSONDocument(TaskOutcome.withoutResult(task.statusMessage))
        else { return answer }
        return LegacyResponse(document: document, outcome: .error(document.root))
    }

    private func status(of task: LegacyTask) async throws(BackendError) -> LegacyTask {
        let end = max(end, loop.now + LegacySession.askTimeout)
        let answer = try await answer(of: terms.session.task(task.id, credentials: terms.credentials, until: end))
        if let newest = answer.task(named: task.id) { return newest }
        guard case .error = answer.outcome else {
            throw BackendError(.noAnswer, "the server's answer to tasks/get is about no task, or another")
        }
        throw BackendError(
            answer.isOfUnknownTask ? .outcomeUnknown : .noAnswer, "the server answered tasks/get by an error")
    }

    private func rest(_ task: LegacyTask) async throws(BackendError) {
        let wished = task.pollInterval.map { Duration.milliseconds($0) } ?? DrivenCall.standardPause
        let pause = Pause(on: loop)
        self.pause = pause
        await pause.waitFor(min(max(wished, DrivenCall.pauses.lowerBound), DrivenCall.pauses.upperBound))
        self.pause = nil
        if case .failure(let error) = outcome { throw error }
        guard isSuspended || loop.now < end else {
            throw BackendError(.overdue, "the task took longer than limits.request_timeout")
        }
    }

    /// Waits for the answer of a part of it.
    private func answer(of call: LegacyCall) async throws(BackendError) -> LegacyResponse {
        current = call
        if isSuspended { call.suspendTimeout() }
        defer { current = nil }
        let answer = try await call.waitForResponse()
        if task != nil, case .failure(let error) = outcome { throw error }
        return answer
    }

    private func conclude(_ outcome: Result<LegacyResponse, BackendError>) {
        guard self.outcome == nil else { return }
        self.outcome = outcome
        settled.signal()
        if let reader = reader.take() { loop.afterwards(reader) }
    }

    // MARK: As a call

    override func waitForReply() async throws(BackendError) -> CallReply {
        while true {
            if let outcome { return .answer(try outcome.get()) }
            await settled.wait()
        }
    }

    override func notifyReader(_ reader: any CallReader) -> Bool {
        guard outcome == nil else { return false }
        self.reader = reader
        return true
    }

    override func readyResponse() throws(BackendError) -> LegacyResponse? { try outcome?.get() }

    /// There is nothing that `notifications/cancelled` could name: the task has its own request.
    override var mayHaveBeenSeen: Bool { false }

    override var isOver: Bool { outcome != nil }

    override func suspendTimeout() {
        isSuspended = true
        current?.suspendTimeout()
    }

    override func resumeTimeout(until end: Instant, silence: Duration?) {
        isSuspended = false
        self.end = end
        current?.resumeTimeout(until: end, silence: silence)
    }

    override func notificationArrived(_ notification: Envelope, _ kind: ServerNotification) {
        if outcome == nil { terms.observer?.notificationArrived(notification, kind) }
    }

    override func askToStop(_ error: BackendError) {
        if let task { terms.session.cancelTask(task.id, credentials: terms.credentials) } else { failCall(with: error) }
    }

    override func failCall(with error: BackendError) {
        guard outcome == nil else { return }
        conclude(.failure(error))
        // While the task is being made, its name is waited for.
        guard let task else { return }
        terms.session.cancelTask(task.id, credentials: terms.credentials)
        current?.failCall(with: error)
        pause?.endPause()
    }
}

extension DrivenCall: CallObserver {
    var hasRoom: Bool { outcome != nil || terms.observer?.hasRoom != false }

    func waitForRoom() async { if outcome == nil { await terms.observer?.waitForRoom() } }

    func questionArrived(_ question: Envelope) -> Bool {
        outcome == nil && terms.observer?.questionArrived(question) == true
    }
}

extension BackendError {
    /// Whether the same question may have an answer a moment later.
    fileprivate var mayPass: Bool { kind == .noAnswer || kind == .silent || kind == .unavailable }
}
