import HTTPTransport
import HTTPWire
import JSONText
import Legacy
import MCP
import Reactor
import Translation

/// One admitted request on its way to a session and back.
final class Exchange: Answerer {
    private let carrier: Carrier
    /// As it came.
    let source: HTTPServerRequest
    let clientRequest: ClientRequest
    private let request: ModernRequest
    private let caller: Caller
    private let key: SessionKey
    private let end: Instant
    /// What ``start()`` has begun.
    private var lease: Lease?
    private var call: LegacyCall?
    private var waiter: ListWaiter?
    private var sessionWaiter: SessionWaiter?
    /// Where the server gets only so many calls at once.
    private var turn: CallTurn?
    private var isCancelled = false
    private lazy var notifications = NotificationTranslation(for: request)
    /// How many notifications went to the client.
    private(set) var forwarded = 0
    /// What the client would have had to declare for the questions of the server that were refused.
    private var refused = InputCapabilities.none

    /// - Parameters:
    ///   - source: of which `request` was made.
    ///   - clientRequest: gets what the server says before it answers.
    init(
        _ request: ModernRequest, of source: HTTPServerRequest, from caller: Caller,
        answering clientRequest: ClientRequest, by carrier: Carrier
    ) {
        self.carrier = carrier
        self.source = source
        self.clientRequest = clientRequest
        self.request = request
        self.caller = caller
        key = carrier.settings.clients.key(
            for: request, of: caller.principal, canBeAsked: carrier.settings.isInteractive)
        end = .now + carrier.settings.requestTimeout
    }

    private var sessions: SessionPool { carrier.sessions }

    var responder: Responder { clientRequest.responder }

    // MARK: Without a task

    /// Sends the request, where nothing has to be waited for before that. Returns whether only the answer is left to wait
    /// for: the gateway is told of it then, and calls ``finish()``. Else it is to call ``run()``.
    func start() -> Bool {
        guard !isCancelled, !request.method.isList, request.method != .discover, request.logLevel == nil,
            !sessions.turns.isLimited, let lease = sessions.readyLease(key)
        else { return false }
        guard isWelcome(to: lease.session) else {
            sessions.release(lease)
            return false
        }
        let call = send(on: lease.session)
        self.lease = lease
        self.call = call
        return call.tell(self)
    }

    /// What has come of what ``start()`` has sent; nil where ``run()`` has to see to that.
    func finish() -> RequestOutcome? {
        guard let call, let lease else { return nil }
        let outcome: RequestOutcome
        do throws(BackendError) {
            guard let answer = try call.readyAnswer() else { return nil }
            outcome = try translate(answer, from: lease.session)
        } catch {
            outcome = .failed(error)
        }
        self.call = nil
        self.lease = nil
        sessions.release(lease)
        return outcome
    }

    /// Whether the session, as far as it knows the server's tools, has nothing against the request.
    private func isWelcome(to session: LegacySession) -> Bool {
        if SessionRules.refusal(of: request, on: session) != nil { return false }
        guard request.method == .callTool else { return true }
        guard let parameters = session.readyHeaderParameters else { return false }
        return SessionRules.refusal(of: request, source.head.fields, by: parameters) == nil
    }

    private func send(on session: LegacySession) -> LegacyCall {
        refused = .none
        return session.call(request, credentials: caller.callFields, until: end, listener: self)
    }

    // MARK: With all that may have to be waited for

    /// Carries the request to the backend, or goes on with what ``start()`` has begun.
    func run() async -> RequestOutcome {
        if request.method.isList {
            return await waiting { await carrier.lists.answer(request, of: caller, key: key, $0) }
        }
        do throws(BackendError) {
            guard sessions.turns.isLimited, call == nil, request.method != .discover else { return try await attempt() }
            return try await attemptInTurn()
        } catch {
            return .failed(error)
        }
    }

    private func attemptInTurn() async throws(BackendError) -> RequestOutcome {
        if isCancelled { throw .clientLeft }
        let turn = CallTurn(of: caller.principal)
        self.turn = turn
        defer { turn.giveBack() }
        try await sessions.turns.take(turn, until: end)
        return try await attempt()
    }

    /// Sends the request, and once more, as a new request with a new id, where that can do no harm.
    private func attempt() async throws(BackendError) -> RequestOutcome {
        var attempts = Attempts()
        while true {
            // Functions that rarely wait are asked first whether they need to: to call one that may costs a frame.
            let lease =
                if let begun = self.lease.take() {
                    begun
                } else if attempts.session == nil, let ready = sessions.readyLease(key) {
                    ready
                } else {
                    try await lease(after: attempts)
                }
            defer { sessions.release(lease) }
            do throws(BackendError) {
                return try await run(on: lease.session)
            } catch {
                if error.kind == .sessionLost { sessions.retire(lease) }
                if error.kind == .noAnswer { sessions.check(lease, caller.credentials) }
                attempts.session = lease.session
                if case .rejected = error.kind { sessions.rejected(on: lease.session) }
                try attempts.failed(error, mayRepeat: mayRepeat(on: lease.session))
            }
        }
    }

    private func lease(after attempts: Attempts) async throws(BackendError) -> Lease {
        let waiter = SessionWaiter(until: end)
        sessionWaiter = waiter
        defer { sessionWaiter = nil }
        if isCancelled { waiter.leave() }
        do throws(BackendError) {
            return try await sessions.lease(
                key, after: attempts.session, credentials: caller.credentials, by: waiter)
        } catch {
            throw attempts.told(error)
        }
    }

    /// Whether the request may run twice, and the client was told nothing that a second run would tell it again.
    private func mayRepeat(on session: LegacySession) -> Bool {
        forwarded == 0 && !isCancelled && SessionRules.mayRepeat(request, on: session, carrier.settings)
    }

    /// Nobody waits for the answer any more.
    func clientLeft() {
        isCancelled = true
        call?.cancel(.clientLeft)
        waiter?.cancel()
        sessionWaiter?.leave()
        turn?.clientLeft()
    }

    /// Does what waits for a list, which ends when the client goes.
    private func waiting<Value, Failure>(
        _ body: (ListWaiter) async throws(Failure) -> Value
    ) async throws(Failure) -> Value {
        let waiter = ListWaiter(until: end, on: sessions.loop)
        self.waiter = waiter
        defer { self.waiter = nil }
        if isCancelled { waiter.cancel() }
        return try await body(waiter)
    }

    private func run(on session: LegacySession) async throws(BackendError) -> RequestOutcome {
        if let call { return try await outcome(of: call, on: session) }
        if let refusal = SessionRules.refusal(of: request, on: session) { return .refused(refusal) }
        if request.method == .discover { return .answered(await discover(session)) }
        if request.method == .callTool {
            let parameters =
                if let ready = session.readyHeaderParameters { ready } else { try await headerParameters(of: session) }
            if let refusal = SessionRules.refusal(of: request, source.head.fields, by: parameters) {
                return .refused(refusal)
            }
        }
        if let level = request.logLevel { await session.log(from: level, credentials: caller.credentials) }
        if isCancelled { throw .clientLeft }
        let call = send(on: session)
        self.call = call
        return try await outcome(of: call, on: session)
    }

    private func outcome(of call: LegacyCall, on session: LegacySession) async throws(BackendError) -> RequestOutcome {
        defer { self.call = nil }
        do throws(BackendError) {
            return try translate(try await call.answer(), from: session)
        } catch {
            if error.kind == .silent || error.kind == .overdue { call.cancel(error) }
            throw error
        }
    }

    private func translate(_ answer: LegacyAnswer, from session: LegacySession) throws(BackendError) -> RequestOutcome {
        sessions.heard(answer, on: session)
        if !refused.isEmpty, answer.isFailure { return .refused(.missingCapabilities(refused, hasRun: true)) }
        return try .of(answer, from: session.handshake.serverInfo, answering: request, carrier.settings.caching)
    }

    private func headerParameters(of session: LegacySession) async throws(BackendError) -> HeaderParameters {
        try await waiting { waiter throws(BackendError) in
            try await carrier.lists.headerParameters(for: session, key: key, caller.credentials, waiter)
        }
    }

    private func discover(_ session: LegacySession) async -> Answer {
        let hasPushChannel = session.handshake.announcesSomething ? await session.hasPushChannel() : false
        let text = Discover.response(
            to: request, from: session.handshake, hasPushChannel: hasPushChannel, caching: carrier.settings.caching)
        return Answer(status: 200, text: text, code: nil)
    }
}

extension Exchange: CallReader {
    func news() { carrier.goOn(with: self) }
}

// MARK: What the server says before it answers

extension Exchange: CallListener {
    func heard(_ notification: Envelope, _ kind: ServerNotification) {
        // On the call's own stream there is room, or the server was made to wait. Elsewhere it cannot be.
        guard responder.hasRoom, let text = notifications.modern(notification, kind) else { return }
        forwarded += 1
        responder.send(text)
    }

    var hasRoom: Bool { responder.hasRoom }

    func room() async { await responder.room() }

    /// Only clients of calls that have a session to themselves are asked. If the call fails for want of an answer, its client
    /// hears what to declare.
    func asked(_ question: Envelope) -> Bool {
        do throws(RefusedInput) {
            _ = try InputRequest(
                question, declared: InputCapabilities(request.clientCapabilities, in: request.document))
        } catch {
            refused.formUnion(error.missing)
        }
        return false
    }
}
