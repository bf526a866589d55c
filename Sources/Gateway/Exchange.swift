import HTTPWire
import JSONText
import Legacy
import MCP
import Reactor
import Translation

/// What a request is answered with.
struct Answer {
    let status: Int
    /// The JSON-RPC response.
    let text: SplicedText
    /// The code of the error that it is, if it is one.
    let code: Int?
}

/// One admitted request on its way to a session and back.
final class Exchange {
    private let request: ModernRequest
    private let fields: HTTPFields
    private let caller: Caller
    private let responder: Responder
    private let key: SessionKey
    private let sessions: SessionPool
    private let lists: Lists
    private let settings: GatewaySettings
    private let end: Instant
    private var call: LegacyCall?
    private var waiter: ListWaiter?
    private var isCancelled = false
    private lazy var notifications = NotificationTranslation(for: request)
    /// How many notifications went to the client.
    private(set) var forwarded = 0

    /// What came of it; nil until `run` has ended.
    private(set) var outcome: Outcome?

    enum Outcome {
        case answered(Answer)
        case refused(Refusal)
        case failed(BackendError)

        /// Whether it failed for want of a session: nothing of it reached a handler.
        var wasNeverSent: Bool {
            guard case .failed(let error) = self else { return false }
            return error.kind == .unavailable || error.kind == .sessionLost
        }
    }

    /// - Parameters:
    ///   - fields: the header of the request.
    ///   - responder: gets what the server says before it answers.
    init(
        _ request: ModernRequest, _ fields: HTTPFields, from caller: Caller, to responder: Responder,
        sessions: SessionPool, lists: Lists, settings: GatewaySettings
    ) {
        self.request = request
        self.fields = fields
        self.caller = caller
        self.responder = responder
        self.sessions = sessions
        self.lists = lists
        self.settings = settings
        key = SessionKey(
            principal: caller.principal,
            capabilities: ClientCapabilities.legacy(
                request.clientCapabilities, in: request.document, canBeAsked: settings.isInteractive))
        end = .now + settings.requestTimeout
    }

    var wasNeverSent: Bool { outcome?.wasNeverSent == true }

    /// The id of the request, as the client spelled it.
    var rawID: ArraySlice<UInt8> { request.rawID }

    /// Carries the request to the backend.
    func run() async {
        if request.method.isList {
            return outcome = await waiting { await lists.answer(request, of: caller, key: key, $0) }
        }
        do throws(BackendError) {
            outcome = .some(try await attempt())
        } catch {
            outcome = .failed(error)
        }
    }

    /// Sends the request, and once more, as a new request with a new id, where that can do no harm.
    private func attempt() async throws(BackendError) -> Outcome {
        var attempts = Attempts()
        while true {
            // Functions that rarely wait are asked first whether they need to: to call one that may costs a frame.
            let lease = if let ready = sessions.readyLease(key) { ready } else { try await lease(after: attempts) }
            defer { sessions.release(lease) }
            do throws(BackendError) {
                return try await run(on: lease.session)
            } catch {
                if error.kind == .sessionLost { sessions.retire(lease) }
                if error.kind == .noAnswer { sessions.check(lease, caller.credentials) }
                try attempts.failed(error, mayRepeat: mayRepeat(on: lease.session))
            }
        }
    }

    private func lease(after attempts: Attempts) async throws(BackendError) -> Lease {
        do throws(BackendError) {
            return try await sessions.lease(key, credentials: caller.credentials)
        } catch {
            throw attempts.told(error)
        }
    }

    /// Whether the request may run twice, and the client was told nothing that a second run would tell it again.
    private func mayRepeat(on session: LegacySession) -> Bool {
        forwarded == 0 && !isCancelled && SessionRules.mayRepeat(request, on: session, settings)
    }

    /// The client has gone: nobody waits for the answer any more.
    func cancel() {
        isCancelled = true
        call?.cancel(BackendError(.cancelled, "the client went away"))
        waiter?.cancel()
    }

    /// Does what waits for a list, which ends when the client goes.
    private func waiting<Value, Failure>(
        _ body: (ListWaiter) async throws(Failure) -> Value
    ) async throws(Failure) -> Value {
        let waiter = ListWaiter()
        self.waiter = waiter
        defer { self.waiter = nil }
        if isCancelled { waiter.cancel() }
        return try await body(waiter)
    }

    private func run(on session: LegacySession) async throws(BackendError) -> Outcome {
        if let refusal = SessionRules.refusal(of: request, on: session) { return .refused(refusal) }
        if request.method == .discover { return .answered(await discover(session)) }
        if request.method == .callTool {
            let parameters =
                if let ready = session.readyHeaderParameters { ready } else { try await headerParameters(of: session) }
            if let refusal = SessionRules.refusal(of: request, fields, by: parameters) { return .refused(refusal) }
        }
        if let level = request.logLevel { await session.log(from: level, credentials: caller.credentials) }
        if isCancelled { throw BackendError(.cancelled, "the client went away") }
        let call = session.call(request, credentials: caller.callFields, until: end, listener: self)
        self.call = call
        defer { self.call = nil }
        do throws(BackendError) {
            let answer = try await call.answer()
            return .answered(
                try Answer(answer, from: session.handshake.serverInfo, answering: request, settings.caching))
        } catch {
            if error.kind == .silent || error.kind == .overdue { call.cancel(error) }
            throw error
        }
    }

    private func headerParameters(of session: LegacySession) async throws(BackendError) -> HeaderParameters {
        try await waiting { waiter throws(BackendError) in
            try await lists.headerParameters(for: session, key: key, caller.credentials, waiter)
        }
    }

    private func discover(_ session: LegacySession) async -> Answer {
        let hasPushChannel = session.handshake.announcesSomething ? await session.hasPushChannel() : false
        let text = Discover.response(
            to: request, from: session.handshake, hasPushChannel: hasPushChannel, caching: settings.caching)
        return Answer(status: 200, text: text, code: nil)
    }
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

    /// Only calls that have a session to themselves are asked during.
    func asked(_ question: Envelope) -> Bool { false }
}
