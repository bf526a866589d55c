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
    private let sessions: SessionPool
    private let settings: GatewaySettings
    private let end: Instant
    private var call: LegacyCall?
    private var isCancelled = false

    /// What came of it; nil until `run` has ended.
    private(set) var outcome: Outcome?

    enum Outcome {
        case answered(Answer)
        case refused(Refusal)
        case failed(BackendError)
    }

    /// - Parameter fields: the header of the request.
    init(
        _ request: ModernRequest, _ fields: HTTPFields, from caller: Caller, sessions: SessionPool,
        settings: GatewaySettings
    ) {
        self.request = request
        self.fields = fields
        self.caller = caller
        self.sessions = sessions
        self.settings = settings
        end = .now + settings.requestTimeout
    }

    /// Whether it failed for want of a session: nothing of it reached a handler.
    var wasNeverSent: Bool {
        guard case .failed(let error) = outcome else { return false }
        return error.kind == .unavailable || error.kind == .sessionLost
    }

    /// The id of the request, as the client spelled it.
    var rawID: ArraySlice<UInt8> { request.rawID }

    /// Carries the request to the backend. It is sent once more, as a new request with a new id, when the session turns
    /// out to be lost, because then no handler ran, and when it only reads and no answer began.
    func run() async {
        let key = SessionKey(
            principal: caller.principal,
            capabilities: ClientCapabilities.legacy(request.clientCapabilities, in: request.document))
        do throws(BackendError) {
            for attempt in 1...2 {
                let lease = try await lease(key)
                defer { sessions.release(lease) }
                do throws(BackendError) {
                    return outcome = try await run(on: lease.session)
                } catch  where error.kind == .sessionLost {
                    sessions.retire(lease)
                } catch  where error.kind == .noAnswer && attempt == 1 && request.method.isSafeToRepeat {
                    continue
                }
            }
            throw BackendError(.sessionLost, "the server lost a session that was just made")
        } catch {
            outcome = .failed(error)
        }
    }

    private func lease(_ key: SessionKey) async throws(BackendError) -> Lease {
        if let ready = sessions.readyLease(key) { return ready }
        return try await sessions.lease(key, credentials: caller.credentials)
    }

    /// The client has gone: nobody waits for the answer any more.
    func cancel() {
        isCancelled = true
        call?.cancel(BackendError(.cancelled, "the client went away"))
    }

    private func run(on session: LegacySession) async throws(BackendError) -> Outcome {
        if let refusal = refusal(by: session) { return .refused(refusal) }
        if request.method == .discover { return .answered(discover(session)) }
        if request.method == .callTool {
            let parameters = try await headerParameters(of: session)
            if let refusal = refusal(by: parameters) { return .refused(refusal) }
        }
        if isCancelled { throw BackendError(.cancelled, "the client went away") }
        let call = session.call(request, credentials: caller.callFields, until: end)
        self.call = call
        defer { self.call = nil }
        do throws(BackendError) {
            return .answered(try translate(try await call.answer(), from: session))
        } catch {
            if error.kind == .silent || error.kind == .overdue { call.cancel(error) }
            throw error
        }
    }

    private func refusal(by session: LegacySession) -> Refusal? {
        do throws(Refusal) {
            try checkCapability(of: session)
            try ParameterRules.check(request)
            return nil
        } catch {
            return error
        }
    }

    private func headerParameters(of session: LegacySession) async throws(BackendError) -> HeaderParameters {
        if let ready = session.readyHeaderParameters { return ready }
        return try await session.headerParameters(caller.credentials, until: end)
    }

    private func refusal(by parameters: HeaderParameters) -> Refusal? {
        guard !parameters.isEmpty, let name = request.document.value("name", of: request.params),
            let tool = request.document.stringBytes(name)
        else { return nil }
        do throws(Refusal) {
            try HeaderParameterRules.check(request, fields, parameters[tool])
            return nil
        } catch {
            return error
        }
    }

    private func checkCapability(of session: LegacySession) throws(Refusal) {
        guard let capability = request.method.requiredCapability, !session.handshake.offers(capability) else { return }
        throw .methodNotFound("\(request.method.name)", "This server has no \(capability.rawValue).")
    }

    private func discover(_ session: LegacySession) -> Answer {
        // Cues could only come on subscriptions/listen, which Remora does not serve yet: it promises none.
        let text = Discover.response(
            to: request, from: session.handshake, hasPushChannel: false, caching: settings.caching)
        return Answer(status: 200, text: text, code: nil)
    }

    private func translate(_ answer: LegacyAnswer, from session: LegacySession) throws(BackendError) -> Answer {
        do throws(TranslationError) {
            switch answer.outcome {
            case .result(let result):
                let context = ResultContext(serverInfo: session.handshake.serverInfo, caching: settings.caching)
                let text = try ResultTranslation.modern(
                    result, in: answer.document, answering: request, with: context)
                return Answer(status: 200, text: text, code: nil)
            case .error(let error):
                let error = try ErrorTranslation.modern(error, in: answer.document, answering: request)
                // The only code whose status is not 200: the transport has one for it (basic/transports).
                let status = error.code == ErrorCode.methodNotFound ? 404 : 200
                return Answer(status: status, text: error.text, code: error.code)
            }
        } catch {
            throw BackendError(.outcomeUnknown, "the server's answer has a result or an error that is no object")
        }
    }
}
