import Crypto
import HTTPTransport
import JSONText
import Legacy
import MCP
import Reactor
import Telemetry
import Translation

/// Calls during which servers may ask, as one gateway begins and finds them.
final class Interactions {
    let sessions: SessionPool
    let lists: Lists
    let settings: GatewaySettings
    let calls: ParkedCalls
    let log: Log
    private let seal: Seal
    private let replicas: Replicas?

    init(
        sessions: SessionPool, lists: Lists, settings: GatewaySettings, calls: ParkedCalls, seal: Seal,
        replicas: Replicas?, log: Log
    ) {
        self.sessions = sessions
        self.lists = lists
        self.settings = settings
        self.calls = calls
        self.seal = seal
        self.replicas = replicas
        self.log = log
    }

    /// Whether a request begins such a call, or goes on with one. The others share sessions.
    func concern(_ request: ModernRequest) -> Bool {
        guard request.method.supportsInputRequired else { return false }
        if settings.isInteractive,
            !InputCapabilities(request.clientCapabilities, in: request.document).isEmpty
        {
            return true
        }
        // However it was dropped: a retry must not run the call a second time.
        return request.document.value("requestState", of: request.params) != nil
    }

    /// Where a request belongs.
    enum Place {
        /// It begins a call.
        case new
        case here(InteractiveCall)
        /// Not here: at another loop or replica, or nowhere any more.
        case elsewhere(RequestState)
        case refused(Refusal)
    }

    func place(of request: ModernRequest, from caller: Caller) -> Place {
        guard let value = request.document.value("requestState", of: request.params) else { return .new }
        guard let state = opened(value, of: request, from: caller) else {
            calls.numbers.refusedStates += 1
            return .refused(.invalidRequestState)
        }
        // It may be here although another one had it when the state was made: that one is gone then.
        return calls.call(state.call).map { .here($0) } ?? .elsewhere(state)
    }

    private func opened(_ value: JSONValue, of request: ModernRequest, from caller: Caller) -> RequestState? {
        let text = request.document.stringBytes(value) ?? []
        do {
            let payload = try seal.open(text, for: .requestState, caller: caller.identity, at: .now)
            guard let state = RequestState(payload) else { return nil }
            try state.check(request, from: RequestState.principal(of: caller), at: .now)
            return state
        } catch {
            return nil
        }
    }

    func sealed(_ state: RequestState, for caller: Caller) -> [UInt8] {
        seal.seal(state.encoded(), for: .requestState, caller: caller.identity, until: state.expires)
    }

    /// Whether a retry may come to another replica or loop.
    var hasPeers: Bool { replicas?.hasPeers == true }

    /// Has whoever has the call answer a retry.
    func pass(
        _ retry: HTTPServerRequest, _ state: RequestState, answering client: HTTPServerConnection
    ) async -> Replicas.Passed {
        await replicas?.pass(retry, of: state.call, to: state.owner, answering: client) ?? .ours
    }

    /// Answers a request that begins a call, or goes on with one of this loop, or with one that nobody has.
    func serve(_ leg: CallLeg, at place: Place) async -> Exchange.Outcome {
        switch place {
        case .refused(let refusal): return .refused(refusal)
        case .here(let call): call.retry(leg)
        case .new: InteractiveCall(leg, in: self).begin(leg)
        case .elsewhere(let state): succeed(leg, state)
        }
        return await leg.wait()
    }

    /// Goes on with a call that nobody has any more: takes it up where it was, if its server lets that be done, or runs it again,
    /// where that can do no harm. It has the same id, so that whoever comes back for it meanwhile joins.
    private func succeed(_ leg: CallLeg, _ state: RequestState) {
        // Another retry may have come here while this one looked for whoever had the call.
        if let call = calls.call(state.call) { return call.retry(leg) }
        guard settings.isInteractive,
            state.phase != .dispatched || SessionRules.mayEverReplay(leg.request, settings)
                || state.resumption?.lastEventID.isEmpty == false
        else {
            calls.numbers.lost += 1
            return leg.finish(.lost(leg.request, sessions.serverInfo))
        }
        let given: GivenAnswers
        do throws(InputFlaw) {
            given = try GivenAnswers(state, leg.request)
        } catch {
            return leg.finish(.refused(.wrongAnswer(error)))
        }
        let call = InteractiveCall(leg, in: self, after: (state, given))
        guard calls.take(call, for: leg.caller.principal) else { return leg.finish(.refused(.tooManyParked)) }
        call.begin(leg)
    }
}
