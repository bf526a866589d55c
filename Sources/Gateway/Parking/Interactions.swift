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
    /// Who delivers the answers of clients; nil where replicas have no store, and this loop delivers those that come to it.
    let claims: Claims?
    private let spares: SpareCalls
    /// Of the last request.
    private var known: (spelled: [UInt8], declaration: ClientProfiles.Declaration) = ([], .none)

    init(
        sessions: SessionPool, spares: SpareCalls, lists: Lists, settings: GatewaySettings, calls: ParkedCalls,
        seal: Seal, replicas: Replicas?, claims: Claims? = nil, log: Log
    ) {
        self.sessions = sessions
        self.spares = spares
        self.lists = lists
        self.settings = settings
        self.calls = calls
        self.seal = seal
        self.replicas = replicas
        self.claims = claims
        self.log = log
    }

    /// Whether no request waits for a call. Its session is then the first to go when another call needs one.
    /// The session of a handle is no other call's.
    func markSpare(_ call: any SpareCall, _ isSpare: Bool) {
        spares.noteSpare(call, isSpare && !call.key.isOfHandle)
    }

    // MARK: Requests

    /// What the client can be asked, if a request begins or continues an interactive call. `nil`: other requests, which share
    /// sessions.
    func interactiveCapabilities(of request: ModernRequest) -> ClientProfiles.Declaration? {
        guard request.method.supportsInputRequired else { return nil }
        let declaration = declaration(of: request)
        if settings.isInteractive, !declaration.ofClient.isEmpty { return declaration }
        // However it was dropped: a retry must not run the call a second time.
        return isRetry(request) ? declaration : nil
    }

    /// What a request declares. A client says the same with each of its requests, and most say what others do.
    func declaration(of request: ModernRequest) -> ClientProfiles.Declaration {
        let isKnown =
            request.clientCapabilities.map { request.document.isSpelled($0, as: known.spelled) }
            ?? known.spelled.isEmpty
        // Else it goes by the client's name, too.
        let dependsOnWords = settings.clients.changesNothing
        if dependsOnWords, isKnown { return known.declaration }
        let declaration = settings.clients.readDeclaration(of: request, canBeAsked: true)
        if dependsOnWords {
            known = (request.clientCapabilities.map { Array(request.document.raw($0)) } ?? [], declaration)
        }
        return declaration
    }

    /// Where a request belongs.
    enum Location {
        /// It begins a call.
        case new
        case here(InteractiveCall)
        /// It has become this task.
        case promoted(TaskDescription, from: ServerInfo)
        /// Not here: at another loop or replica, or nowhere any more.
        indirect case elsewhere(RequestState)
    }

    /// - Throws: where its `requestState` is not one of this caller for this request.
    func callLocation(of request: ModernRequest, from caller: Caller) throws(Refusal) -> Location {
        guard let value = request.document.value("requestState", of: request.params) else { return .new }
        guard let state = openedState(value, of: request, from: caller) else {
            calls.numbers.refusedStates += 1
            throw .invalidRequestState
        }
        return callLocation(of: state)
    }

    /// A call may be here although another loop had it when the state was made: that one is gone then.
    private func callLocation(of state: RequestState) -> Location {
        if let call = calls.parkedCall(state.call) { return .here(call) }
        if let (task, serverInfo) = calls.promoted?.promotedTask(state.call) {
            return .promoted(task, from: serverInfo)
        }
        return .elsewhere(state)
    }

    private func openedState(_ value: JSONValue, of request: ModernRequest, from caller: Caller) -> RequestState? {
        let text = request.document.stringBytes(value) ?? []
        do {
            let payload = try seal.openText(text, for: .requestState, caller: caller.identity, at: .now)
            guard let state = RequestState(payload) else { return nil }
            try state.checkRetry(request, from: RequestState.principalHash(of: caller), at: .now)
            return state
        } catch {
            return nil
        }
    }

    func sealedState(_ state: RequestState, for caller: Caller) -> [UInt8] {
        seal.sealPayload(state.encodedState(), for: .requestState, caller: caller.identity, until: state.expires)
    }

    /// Whether a retry may come to another replica or loop.
    var hasPeers: Bool { replicas?.hasPeers == true }

    /// Forwards a retry to the replica that owns the call.
    func forwardRetry(
        _ retry: HTTPServerRequest, _ state: RequestState, answering client: HTTPServerConnection
    ) async -> Replicas.ForwardResult {
        await replicas?.forwardRetry(retry, of: state.call, to: state.owner, answering: client) ?? .takeOverHere
    }

    /// Whether a request goes on with a call, or means to.
    func isRetry(_ request: ModernRequest) -> Bool {
        request.document.value("requestState", of: request.params) != nil
    }

    /// Carries a request that begins a call, or goes on with one of this loop, or with one that no loop has.
    ///
    /// - Parameters:
    ///   - source: of which `request` was made.
    ///   - carrier: ends it.
    ///   - capabilities: what the client can be asked, and what its session declares.
    ///   - handleKey: of the session of a handle, in which a call that begins runs; nil where any session of the caller will do.
    ///   - origin: who brought it, where it may be brought on to the loop that has its call.
    func carryRequest(
        _ request: ModernRequest, of source: HTTPServerRequest, from caller: Caller,
        answering clientRequest: ClientRequest, by carrier: Carrier, declaring capabilities: ClientProfiles.Declaration,
        at location: Location, handleKey: SessionKey? = nil, from origin: CallLeg.Origin? = nil
    ) {
        let begins = if case .new = location { true } else { false }
        let leg = CallLeg(
            calls.nextLeg(), request, of: source, answering: clientRequest, capabilities: capabilities,
            until: sessions.loop.now + settings.requestTimeout, endedBy: carrier, begins: begins, from: origin)
        // Its client may have left already, and ends it with this.
        clientRequest.responder.beginResponse(for: leg)
        carryLeg(leg, from: caller, at: location, handleKey)
    }

    private func carryLeg(_ leg: CallLeg, from caller: Caller, at location: Location, _ handleKey: SessionKey?) {
        switch location {
        case .here(let call):
            call.joinRetry(leg, from: caller)
        case .promoted(let task, let serverInfo):
            leg.finishLeg(Ending.task(task, from: serverInfo).requestOutcome(for: leg.request, settings, serverInfo))
        case .new:
            InteractiveCall(leg, from: caller, in: self, handleKey: handleKey).beginCall(leg)
        case .elsewhere(let state):
            // Another retry may have come here while this one looked for the owner of the call.
            let location = callLocation(of: state)
            guard case .elsewhere = location else { return carryLeg(leg, from: caller, at: location, nil) }
            guard let claims else { return takeOverCall(leg, from: caller, state) }
            sessions.loop.spawn { await self.claimCall(leg, from: caller, state, by: claims) }
        }
    }

    /// Continues a call whose replica is lost or cannot be reached, if no other replica does.
    private func claimCall(_ leg: CallLeg, from caller: Caller, _ state: RequestState, by claims: Claims) async {
        let outcome = await claims.takeOverCall(
            state.call, round: Int(state.round), from: state.owner, for: claimLifetime(until: state.expires))
        // Another retry may have been here before, and gone on with the call.
        let location = callLocation(of: state)
        guard case .elsewhere = location else { return carryLeg(leg, from: caller, at: location, nil) }
        switch outcome {
        case .taken: takeOverCall(leg, from: caller, state)
        case .takenBefore: takeOverCall(leg, from: caller, state.afterDelivery)
        case .held(let holder): await bringLeg(leg, of: state.call, to: holder)
        case .unknown: refuseLeg(leg, .answersNotClaimed(isHere: false), countedAs: \.unclaimed)
        }
    }

    /// Has a retry answered by the loop that goes on with its call, if that can be reached.
    ///
    /// - Parameter holder: the loop, as the store has it.
    func bringLeg(_ leg: CallLeg, of call: CallID, to holder: [UInt8]) async {
        guard let replicas, let origin = leg.origin, leg.beginForwarding() else {
            return refuseLeg(leg, .heldElsewhere, countedAs: \.held)
        }
        let result = await replicas.bringRetry(
            leg.source, of: call, to: holder, isHandedOver: origin == .replica, answering: leg.responder.connection)
        if case .answered(let status, let bytes)? = result {
            return leg.endForwarding((status, bytes))
        }
        leg.endForwarding(nil)
        guard case .unknown(let error)? = result, let refusal = Refusal(handedOver: error) else {
            return refuseLeg(leg, .heldElsewhere, countedAs: \.held)
        }
        leg.finishLeg(.refused(refusal))
    }

    /// A retry whose answers are not delivered here.
    func refuseLeg(_ leg: CallLeg, _ refusal: Refusal, countedAs count: WritableKeyPath<ParkingCounts, Int>) {
        calls.numbers[keyPath: count] += 1
        leg.finishLeg(.refused(refusal))
    }

    /// For how long the store has to know who took the answers of a client: as long as what the client carries is good.
    ///
    /// - Parameter end: of that.
    func claimLifetime(until end: UnixTime) -> Duration {
        let parkTimeout = calls.settings.parkTimeout
        return max(parkTimeout + parkTimeout, .seconds(end.seconds - UnixTime.now.seconds)) + .seconds(1)
    }

    /// Cancels the run that a lost replica started: its questions can no longer be answered.
    func cancelRun(of state: RequestState, for caller: Caller) {
        guard state.phase == .dispatched, let lost = state.resumption.flatMap({ LegacySession.Lost($0) })
        else { return }
        sessions.cancelLostCall(lost, credentials: caller.credentials)
    }

    /// Continues a call whose replica is lost: resumes its run if the server allows that, or runs it again if that can do no
    /// harm. It keeps the call's id, so that other retries of the call join it.
    private func takeOverCall(_ leg: CallLeg, from caller: Caller, _ sealed: RequestState) {
        let state = calls.knownState(sealed)
        guard settings.isInteractive,
            state.phase != .dispatched || SessionRules.mayEverReplay(leg.request, settings)
                || state.resumption?.lastEventID.isEmpty == false
        else {
            calls.numbers.lost += 1
            cancelRun(of: state, for: caller)
            return leg.finishLeg(.callLost(leg.request, sessions.serverInfo))
        }
        let given: GivenAnswers
        do throws(InputFlaw) {
            given = try GivenAnswers(state, leg.request)
        } catch {
            return leg.finishLeg(.refused(.wrongAnswer(error)))
        }
        let call = InteractiveCall(leg, from: caller, in: self, after: (state, given))
        guard calls.takePlace(call, for: caller.principal) else {
            return leg.finishLeg(.refused(.tooManyParked(hasRun: state.phase == .dispatched)))
        }
        call.beginCall(leg)
    }
}
