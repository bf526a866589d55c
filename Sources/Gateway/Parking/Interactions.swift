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
        /// At another loop or replica.
        case elsewhere(RequestState)
        /// Nowhere any more.
        case nowhere(RequestState)
        case refused(Refusal)
    }

    func place(of request: ModernRequest, from caller: Caller) -> Place {
        guard let value = request.document.value("requestState", of: request.params) else { return .new }
        guard let state = opened(value, of: request, from: caller) else {
            calls.numbers.refusedStates += 1
            return .refused(.invalidRequestState)
        }
        guard state.owner == calls.owner else { return .elsewhere(state) }
        return calls.call(state.call).map { .here($0) } ?? .nowhere(state)
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

    /// Answers a request that begins a call, or goes on with one of this loop.
    ///
    /// - Parameter call: nil for a new one.
    func serve(_ leg: CallLeg, _ call: InteractiveCall?) async -> Exchange.Outcome {
        if let call { call.retry(leg) } else { InteractiveCall(leg, in: self).begin(leg) }
        return await leg.wait()
    }

    /// Answers a retry whose call is nowhere any more.
    func serveLost(_ leg: CallLeg, _ state: RequestState) async -> Exchange.Outcome {
        // Nothing ran before these questions: the call begins anew, and asks again if it has to.
        if state.phase != .dispatched, settings.isInteractive { return await serve(leg, nil) }
        calls.numbers.lost += 1
        return .lost(leg.request, sessions.serverInfo)
    }
}
