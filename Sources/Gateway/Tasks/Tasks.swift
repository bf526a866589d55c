import Crypto
import HTTPTransport
import HTTPWire
import JSONText
import Legacy
import MCP
import Reactor
import Telemetry
import Translation

/// Tasks of servers, as one gateway makes and finds them (docs/translation.md §11).
final class Tasks {
    let carrier: Carrier
    let held: HeldTasks
    private let interactions: Interactions
    private let sealer: Seal
    private let replicas: Replicas

    init(carrier: Carrier, interactions: Interactions, held: HeldTasks, seal: Seal, replicas: Replicas) {
        self.carrier = carrier
        self.interactions = interactions
        self.held = held
        sealer = seal
        self.replicas = replicas
    }

    var settings: GatewaySettings { carrier.settings }
    var sessions: SessionPool { carrier.sessions }
    /// Names this loop in tokens.
    var owner: [UInt8] { replicas.owner }

    var log: Log { interactions.log }

    // MARK: Holding

    /// Holds a task of a client from now on, in a place of ``held`` that was reserved.
    ///
    /// - Parameters:
    ///   - id: of the task; of a call that becomes it, the call's.
    ///   - ttl: how long it is held, in milliseconds.
    ///   - questions: none is open.
    ///   - session: in which it runs.
    ///   - place: where its server has it.
    ///   - description: what is known of it, by its id.
    func holdTask(
        as id: CallID = CallID(random: SecureRandom.bytes), of caller: Caller, for ttl: Int,
        asking questions: TaskQuestions, on session: LegacySession,
        at place: TaskToken.Place?, described description: (_ id: [UInt8]) -> TaskDescription,
        from makeSource: (HeldTask) -> any TaskSource
    ) -> HeldTask {
        let now = UnixTime.now
        // Seconds are whole in a token: the task is there for all of its time.
        let lifetime = Duration.milliseconds(ttl) + .seconds(1)
        let token = TaskToken(
            created: now, expires: now + lifetime, principal: TaskToken.principal(of: caller), task: id, owner: owner,
            place: place)
        let sealed = sealer.sealPayload(
            token.encoded(), for: .task, caller: caller.identity, until: token.expires)
        let task = HeldTask(
            as: id, described: description(sealed), of: caller, until: sessions.loop.now + lifetime,
            asking: questions, on: session, in: held, caching: settings.caching, loop: sessions.loop, log: log,
            from: makeSource)
        held.insertTask(task)
        return task
    }

    // MARK: Tokens

    /// The token in a request; nil for one that is not this caller's, or not any more.
    private func token(of request: ModernRequest, from caller: Caller) -> TaskToken? {
        request.document.value("taskId", of: request.params, .string).flatMap { request.document.stringBytes($0) }
            .flatMap { token($0, from: caller) }
    }

    private func token(_ text: [UInt8], from caller: Caller) -> TaskToken? {
        guard let bytes = try? sealer.openText(text, for: .task, caller: caller.identity, at: .now),
            let token = TaskToken(bytes), token.principal == TaskToken.principal(of: caller),
            UnixTime.now < token.expires
        else { return nil }
        return token
    }

    /// What the server may ask the client of a request.
    func askable(_ request: ModernRequest) -> InputCapabilities {
        settings.isInteractive ? settings.clients.readDeclaration(of: request, canBeAsked: true).ofClient : .none
    }

    // MARK: Requests

    /// Where the task of a request is.
    private enum Location {
        case here(HeldTask)
        case elsewhere(TaskToken)
        case nowhere(RequestOutcome)
    }

    private func location(of request: ModernRequest, from caller: Caller) async -> Location {
        let flaw = SessionRules.parameterRefusal(of: request)
        guard flaw == nil, request.declaresTasks, let token = token(of: request, from: caller) else {
            return .nowhere(await refusal(of: request, from: caller, flaw))
        }
        return held.heldTask(token.task).map { .here($0) } ?? .elsewhere(token)
    }

    /// What there is to say to a request without a task depends on whether the server has any.
    private func refusal(of request: ModernRequest, from caller: Caller, _ flaw: Refusal?) async -> RequestOutcome {
        do throws(BackendError) {
            let lease = try await sessions.leaseSession(
                carrier.sessionKey(for: request, from: caller), credentials: caller.credentials,
                by: SessionWaiter(until: sessions.loop.now + settings.requestTimeout))
            defer { sessions.releaseLease(lease) }
            guard settings.tasks.haveTasks(with: lease.session.handshake) else {
                return .refused(.methodNotFound(request.methodName, "This server has no tasks."))
            }
            return .refused(flaw ?? (request.declaresTasks ? .invalidTask : .needsTasks(hasRun: false)))
        } catch {
            return .failed(error)
        }
    }

    /// Answers a request about a task, here or at the loop or replica that has the task.
    func serveRequest(
        _ request: ModernRequest, of source: HTTPServerRequest, from caller: Caller, _ clientRequest: ClientRequest
    ) async {
        let waiter = TaskWaiter()
        clientRequest.responder.beginResponse(for: waiter)
        let outcome: RequestOutcome
        switch await location(of: request, from: caller) {
        case .here(let task): outcome = await answer(request, about: task, from: caller)
        case .nowhere(let refused): outcome = refused
        case .elsewhere(let token):
            clientRequest.responder.leaveResponse()
            if await isForwarded(source, to: token, clientRequest) { return }
            clientRequest.responder.beginResponse(for: waiter)
            outcome = await answer(request, aboutLost: token)
        }
        carrier.finishRequest(clientRequest, waiter.hasLeft ? .failed(.clientLeft) : outcome, of: source.head)
    }

    /// Forwards a request to the loop or replica that has the task. Returns whether the request is finished: false where the owner of the task
    /// is gone, and this loop has to say so.
    private func isForwarded(
        _ source: HTTPServerRequest, to token: TaskToken, _ clientRequest: ClientRequest
    ) async -> Bool {
        switch await replicas.forwardRetry(
            source, of: token.task, to: token.owner, answering: clientRequest.connection)
        {
        case .takeOverHere:
            return false
        case .answered(let status, let bytes):
            clientRequest.finishForwarded(status: status, bytes: bytes)
        case .unknown(let error), .refused(let error):
            clientRequest.noteFailure(error)
            clientRequest.finishRequest(.refused(.unreachableTask(error)))
        }
        return true
    }

    /// Answers a request about a task that another loop or replica brings. Returns false where the task is not here.
    ///
    /// - Parameter isSuccessor: whether the replica that had the task is gone.
    func serveHandedOver(
        _ request: ModernRequest, of source: HTTPServerRequest, from caller: Caller, _ clientRequest: ClientRequest,
        isSuccessor: Bool
    ) async -> Bool {
        let waiter = TaskWaiter()
        clientRequest.responder.beginResponse(for: waiter)
        let outcome: RequestOutcome
        switch await location(of: request, from: caller) {
        case .here(let task): outcome = await answer(request, about: task, from: caller)
        case .nowhere(let refused): outcome = refused
        case .elsewhere(let token):
            guard isSuccessor else { return false }
            outcome = await answer(request, aboutLost: token)
        }
        carrier.finishRequest(clientRequest, waiter.hasLeft ? .failed(.clientLeft) : outcome, of: source.head)
        return true
    }

    private func answer(
        _ request: ModernRequest, about task: HeldTask, from caller: Caller
    ) async -> RequestOutcome {
        let end = sessions.loop.now + settings.requestTimeout
        switch request.method {
        case .updateTask: return await update(task, by: request, from: caller)
        case .cancelTask:
            if let error = await task.cancelTask(caller.credentials, until: end) { return .failed(error) }
            return acknowledged(request, by: task.serverInfo)
        default: return await get(task, for: request, from: caller, until: end)
        }
    }

    private func get(
        _ task: HeldTask, for request: ModernRequest, from caller: Caller, until end: Instant
    ) async -> RequestOutcome {
        switch await task.pollServer(caller.credentials, until: end) {
        case .failed(let error):
            return .failed(error)
        case .refused(let answer):
            do throws(BackendError) {
                return try .ofResponse(answer, from: task.serverInfo, answering: request, settings.caching)
            } catch {
                return .failed(error)
            }
        case .done:
            let missing = task.needs.subtracting(
                InputCapabilities(request.clientCapabilities, in: request.document))
            guard missing.isEmpty else { return .refused(.missingCapabilities(missing, hasRun: false)) }
            if task.hasEnded { held.noteTold(task) }
            return .answered(
                ModernResponse(
                    status: 200,
                    text: TaskText.detailed(task.description, task.state, from: task.serverInfo, answering: request),
                    code: nil))
        }
    }

    private func update(_ task: HeldTask, by request: ModernRequest, from caller: Caller) async -> RequestOutcome {
        guard request.document.value("inputResponses", of: request.params) != nil else {
            return .refused(.invalidParams("tasks/update needs \"inputResponses\" as an object."))
        }
        do throws(InputFlaw) {
            try await task.deliverAnswers(InputResponses(of: request), caller.credentials)
        } catch {
            return .refused(.wrongTaskAnswer(error))
        }
        return acknowledged(request, by: task.serverInfo)
    }

    private func acknowledged(_ request: ModernRequest, by serverInfo: ServerInfo) -> RequestOutcome {
        .answered(
            ModernResponse(status: 200, text: TaskText.acknowledgment(from: serverInfo, answering: request), code: nil))
    }

    /// The task was there, and its replica is gone, or needed the room. It has ended as the store knows, or failed; there is nothing that
    /// could be answered or cancelled.
    private func answer(_ request: ModernRequest, aboutLost token: TaskToken) async -> RequestOutcome {
        let serverInfo = sessions.serverInfo ?? .unknown
        guard request.method == .getTask, let id = request.document.value("taskId", of: request.params),
            let text = request.document.stringBytes(id)
        else { return acknowledged(request, by: serverInfo) }
        let (description, state) = await ended(token, text) ?? lost(token, text)
        return .answered(
            ModernResponse(
                status: 200, text: TaskText.detailed(description, state, from: serverInfo, answering: request),
                code: nil))
    }

    /// What the store has of a task that is not there any more; nil where it has nothing.
    private func ended(_ token: TaskToken, _ text: [UInt8]) async -> (TaskDescription, TaskState)? {
        guard let stored = await held.outcomes?.readOutcome(of: token.task) else { return nil }
        var description = TaskDescription(token, text)
        description.lastUpdatedAt = stored.lastUpdatedAt
        description.statusMessage = stored.message.isEmpty ? nil : stored.message
        return (description, .ended(stored.outcome))
    }

    /// What there is to say of a task that is not there any more.
    private func lost(_ token: TaskToken, _ text: [UInt8]) -> (TaskDescription, TaskState) {
        let message =
            "The task is gone: the replica that had it has stopped, or needed the room for other tasks. What it did is not "
            + "known: check before you call again."
        var description = TaskDescription(token, text)
        var words: [UInt8] = []
        words.appendJSON(message)
        description.statusMessage = words
        return (description, .ended(TaskOutcome(failure: message, reason: "task_lost")))
    }

    // MARK: Listeners

    /// Begins to tell a subscription of tasks. Returns those of which it is told: this caller's, if they are here, or nowhere any more.
    ///
    /// - Parameter areLost: whether no other loop or replica has those that are not here.
    func watchTasks(
        _ texts: [[UInt8]], of request: ModernRequest, from caller: Caller, for subscription: Subscription,
        areLost: Bool
    ) -> [[UInt8]] {
        let watch = TaskWatch(
            for: subscription, declaring: InputCapabilities(request.clientCapabilities, in: request.document),
            caller.credentials, on: sessions.loop)
        var honoured: [[UInt8]] = []
        for text in texts {
            guard let token = token(text, from: caller) else { continue }
            if let task = held.heldTask(token.task) {
                watch.addTask(task)
            } else if areLost || token.owner == owner || !replicas.hasPeers {
                let (description, state) = lost(token, text)
                watch.addLost(description, state)
            } else {
                continue
            }
            honoured.append(text)
        }
        watch.beginWatching()
        return honoured
    }

    /// Whether a task is here that a request listens to.
    func hasTask(of request: ModernRequest, from caller: Caller) -> Bool {
        guard let filter = try? SubscriptionFilter(request.params, in: request.document, maxResources: 0) else {
            return false
        }
        return filter.tasks.contains { text in token(text, from: caller).map { held.heldTask($0.task) != nil } ?? false
        }
    }

    /// Who serves a request that listens to tasks.
    enum Listening {
        /// This loop.
        case here
        /// This loop: the replica that had the tasks is gone.
        case successor
        /// The loop or replica that has the tasks: the request is finished.
        case elsewhere
    }

    /// Forwards a request that listens to nothing else to the loop or replica that has all of its tasks.
    func forwardListening(
        _ request: ModernRequest, of source: HTTPServerRequest, from caller: Caller, _ clientRequest: ClientRequest
    ) async -> Listening {
        guard replicas.hasPeers, request.declaresTasks,
            let filter = try? SubscriptionFilter(request.params, in: request.document, maxResources: 0),
            let first = filter.tasks.first.flatMap({ token($0, from: caller) }), first.owner != owner
        else { return .here }
        var rest = filter
        rest.tasks = []
        let areTogether = filter.tasks.allSatisfy { text in
            guard let token = token(text, from: caller) else { return false }
            return token.owner == first.owner && held.heldTask(token.task) == nil
        }
        guard rest.isEmpty, areTogether else { return .here }
        return await isForwarded(source, to: first, clientRequest) ? .elsewhere : .successor
    }
}

extension Tasks: TaskCarrier {
    func promoteCall(
        _ call: some TranslatedCall, as id: CallID, asking questions: TaskQuestions
    ) -> (TaskDescription, ServerInfo)? {
        let caller = call.caller
        guard let session = call.session, held.reservePlace(for: caller.principal, settings.tasks) else { return nil }
        let ttl = settings.tasks.maxTTLMs
        let task = holdTask(
            as: id, of: caller, for: ttl, asking: questions, on: session, at: nil,
            described: {
                var description = TaskDescription(id: $0, createdAt: HeldTask.now, ttlMs: ttl)
                description.pollIntervalMs = PromotedCall.pollInterval
                return description
            }, from: { PromotedCall(call, as: $0, among: interactions) })
        held.numbers.promoted += 1
        return (task.description, task.serverInfo)
    }

    func carryTask(
        _ request: ModernRequest, of source: HTTPServerRequest, from caller: Caller,
        answering clientRequest: ClientRequest, key: SessionKey
    ) {
        if request.declaresTasks {
            return TaskCreation(request, of: source, from: caller, answering: clientRequest, key: key, by: self)
                .beginCreation()
        }
        // A client that cannot be asked has its task driven like one that can.
        interactions.carryRequest(
            request, of: source, from: caller, answering: clientRequest, by: carrier,
            declaring: ClientProfiles.Declaration(ofClient: .none, ofSession: key.capabilities, roots: key.roots),
            at: .new, handleKey: key.isOfHandle ? key : nil)
    }
}

/// Knows whether the client of a request about a task is still there.
private final class TaskWaiter: ResponseProducer {
    private(set) var hasLeft = false

    func clientLeft() { hasLeft = true }
}

extension TaskDescription {
    /// What the id of a task says of it.
    fileprivate init(_ token: TaskToken, _ text: [UInt8]) {
        self.init(
            id: text, createdAt: Array("\"\(token.created.iso8601)\"".utf8),
            ttlMs: Int(token.expires.seconds - token.created.seconds) * 1000)
    }
}

extension LegacyTask {
    /// What the answer says that makes it: an outcome is told by `tasks/get` alone, and so is a question.
    var createdState: TaskState {
        status == .cancelled ? .ended(.cancelled) : .working
    }
}
