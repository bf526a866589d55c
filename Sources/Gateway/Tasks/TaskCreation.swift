import Crypto
import HTTPTransport
import Legacy
import MCP
import Reactor
import Translation

/// A call that is made a task, until there is the task.
final class TaskCreation {
    private let tasks: Tasks
    private let request: ModernRequest
    /// As it came.
    private let source: HTTPServerRequest
    private let caller: Caller
    private let key: SessionKey
    private let clientRequest: ClientRequest
    private let waiter: SessionWaiter
    private let end: Instant
    private var hasClientLeft = false

    init(
        _ request: ModernRequest, of source: HTTPServerRequest, from caller: Caller,
        answering clientRequest: ClientRequest, key: SessionKey, by tasks: Tasks
    ) {
        self.tasks = tasks
        self.request = request
        self.source = source
        self.caller = caller
        self.key = key
        self.clientRequest = clientRequest
        end = tasks.sessions.loop.now + tasks.settings.requestTimeout
        waiter = SessionWaiter(until: end)
    }

    func beginCreation() {
        clientRequest.responder.beginResponse(for: self)
        tasks.sessions.loop.spawn { [self] in
            let outcome: RequestOutcome
            if tasks.held.reservePlace(for: caller.principal, tasks.settings.tasks) {
                outcome = await make()
            } else {
                outcome = .refused(.tooManyTasks)
            }
            tasks.carrier.endCarriedRequest(clientRequest, outcome, of: source)
        }
    }

    /// Sends the call, once more where its session turns out to be lost: then nothing of it ran.
    private func make() async -> RequestOutcome {
        var lost: LegacySession?
        while true {
            let lease: Lease
            do throws(BackendError) {
                lease = try await tasks.sessions.leaseSession(
                    key, after: lost, credentials: caller.credentials, by: waiter)
            } catch {
                tasks.held.leavePlace(caller.principal)
                return .ofFailure(error, answering: request, tasks.sessions.serverInfo)
            }
            lease.session.expectTask()
            defer { lease.session.expectTaskNoLonger() }
            let call = lease.session.createTask(
                request, ttl: tasks.settings.tasks.maxTTLMs, credentials: caller.callFields, until: end, observer: self)
            do throws(BackendError) {
                let answer = try await call.waitForResponse()
                tasks.sessions.noteResponse(answer, on: lease.session)
                return made(answer, on: lease)
            } catch {
                if error.kind == .sessionLost { tasks.sessions.retireSession(lease) }
                if error.kind == .silent || error.kind == .overdue { call.cancelCall(error) }
                tasks.sessions.releaseLease(lease)
                if error.kind == .sessionLost, lost == nil, !hasClientLeft {
                    lost = lease.session
                    continue
                }
                tasks.held.leavePlace(caller.principal)
                return .failed(error)
            }
        }
    }

    private func made(_ answer: LegacyResponse, on lease: Lease) -> RequestOutcome {
        let session = lease.session
        guard case .result(let result) = answer.outcome, let task = LegacyTask(createdBy: result, in: answer.document)
        else {
            // An error, or a result: servers may run the call at once.
            tasks.held.leavePlace(caller.principal)
            tasks.sessions.releaseLease(lease)
            do throws(BackendError) {
                return try .ofResponse(
                    answer, from: session.handshake.serverInfo, answering: request, tasks.settings.caching)
            } catch {
                return .failed(error)
            }
        }
        guard !hasClientLeft else {
            // No client has its name.
            tasks.held.leavePlace(caller.principal)
            session.cancelTask(task.id, credentials: caller.credentials)
            tasks.sessions.releaseLease(lease)
            return .failed(.clientLeft)
        }
        let held = hold(task, on: lease)
        return .task(held.description, task.createdState, from: held.serverInfo, answering: request)
    }

    private func hold(_ task: LegacyTask, on lease: Lease) -> HeldTask {
        let maxTTL = tasks.settings.tasks.maxTTLMs
        let session = lease.session
        tasks.held.numbers.made += 1
        return tasks.holdTask(
            of: caller, for: min(task.ttl ?? maxTTL, maxTTL), asking: TaskQuestions(declared: tasks.askable(request)),
            on: session,
            at: session.sessionID.map {
                TaskToken.Place(sessionID: $0, cookies: session.cookieField, legacyID: task.id)
            },
            described: { TaskDescription(task, id: $0, now: HeldTask.now, maxTTL: maxTTL) },
            from: { ServerTask(task, heldAs: $0, on: lease, of: self.tasks.sessions) })
    }
}

extension TaskCreation: ResponseProducer {
    func clientLeft() {
        hasClientLeft = true
        waiter.stopWaiting()
    }
}

/// Until there is a task, no client can be asked: the questions of the server have their place in the task.
extension TaskCreation: CallObserver {
    func notificationArrived(_: Envelope, _: ServerNotification) {}

    var hasRoom: Bool { true }

    func waitForRoom() async {}

    func questionArrived(_: Envelope) -> Bool { false }
}
