import Crypto
import HTTPTransport
import JSONText
import Legacy
import MCP
import Reactor
import Telemetry
import Translation

/// Sessions that clients open, name in their calls and close, as one gateway serves them (docs/translation.md §14, decision 0052).
final class Handles {
    private let carrier: Carrier
    private let interactions: Interactions
    private let held: HeldHandles
    private let sealer: Seal
    private let replicas: Replicas

    init(carrier: Carrier, interactions: Interactions, held: HeldHandles, seal: Seal, replicas: Replicas) {
        self.carrier = carrier
        self.interactions = interactions
        self.held = held
        sealer = seal
        self.replicas = replicas
    }

    private var settings: GatewaySettings { carrier.settings }
    private var sessions: SessionPool { carrier.sessions }
    private var serverInfo: ServerInfo { sessions.serverInfo ?? .unknown }

    // MARK: Where a request belongs

    /// What can be said of a request at once.
    enum Location {
        /// Any session of the caller will do.
        case anySession
        /// The session of a handle that is here.
        ///
        /// - Parameter ownsArgument: whether the tool has an argument of that name, which is for the server.
        case here(HeldHandle, ownsArgument: Bool)
        /// The server's tools have to be known, or another loop or replica has the handle, or none.
        case unknown
    }

    func requestLocation(of request: ModernRequest, from caller: Caller) -> Location {
        if !mayName(request.method) { return .anySession }
        let mention = request.handleMention
        let tool = toolName(of: request)
        if let tool, HandleToolNames.mayBeOne(tool) { return .unknown }
        let text: [UInt8]?
        switch mention {
        case .none: return tool != nil && settings.handles.offer?.isRequired == true ? .unknown : .anySession
        case .nothing: return .unknown
        case .argument(let argument): text = argument
        case .metadata(let named): text = named
        }
        guard let text, let handle = held.heldHandle(as: text, of: caller.principal, in: sessions) else {
            return .unknown
        }
        guard let tool else { return .here(handle, ownsArgument: false) }
        guard let owns = sessions.session(ofHandle: handle.key)?.readyTools?.ownsHandleArgument(tool) else {
            return .unknown
        }
        // What the tool has of that name is no handle, whatever it looks like.
        if owns, case .argument = mention { return .unknown }
        return .here(handle, ownsArgument: owns)
    }

    /// Of the sessions in which a request for a list may find tools that others have not: their server said so.
    func keysWithOwnTools(for request: ModernRequest, of caller: Caller) -> [SessionKey] {
        guard settings.handles.isOn, request.method == .listTools else { return [] }
        return held.keys(of: caller.principal, in: sessions).filter { key in
            (sessions.session(ofHandle: key)?.toolsVersion ?? 0) > 0
        }
    }

    /// Whether a request of this method may run in the session of a handle: not one that concerns all of a caller's sessions.
    private func mayName(_ method: Method) -> Bool {
        method != .discover && method != .listen && !method.isAboutTask && method != .listTools
    }

    private func toolName(of request: ModernRequest) -> [UInt8]? {
        guard request.method == .callTool, let name = request.document.value("name", of: request.params) else {
            return nil
        }
        return request.document.stringBytes(name)
    }

    /// What a request is, when the server's tools are known.
    private enum Meaning {
        /// With what the server gets.
        case anySession(ModernRequest)
        case opening
        case closing([UInt8]?)
        case call([UInt8]?, ownsArgument: Bool)
        /// A call of a tool without a handle, where each has to have one.
        case unnamed(HandleToolNames?)
    }

    private func meaning(
        of request: ModernRequest, from caller: Caller, _ waiter: ListWaiter
    ) async throws(BackendError) -> Meaning {
        let mention = request.handleMention
        guard let tool = toolName(of: request) else {
            if case .metadata(let text) = mention { return .call(text, ownsArgument: false) }
            return .anySession(request)
        }
        let facts = try await carrier.lists.toolFacts(
            of: carrier.sessionKey(for: request, from: caller), caller.credentials, waiter)
        let names = HandleToolNames(avoiding: facts)
        if tool == names?.open { return .opening }
        let owns = facts.ownsHandleArgument(tool)
        switch mention {
        case .argument(let text) where tool == names?.close: return .closing(text)
        case .metadata(let text) where tool == names?.close: return .closing(text)
        case .none where tool == names?.close, .nothing where tool == names?.close: return .closing(nil)
        case .metadata(let text): return .call(text, ownsArgument: owns)
        case .argument(let text) where !owns: return .call(text, ownsArgument: false)
        case .argument, .none, .nothing:
            if settings.handles.offer?.isRequired == true { return .unnamed(names) }
            return .anySession(mention == .nothing ? request.hidingHandle(ownsArgument: owns) : request)
        }
    }

    // MARK: Requests that wait

    /// What became of a request.
    enum Service {
        case finished
        /// Any session of the caller will do, with what the server gets.
        case anySession(ModernRequest)
        /// Another loop or replica has the handle, and brought the request.
        case notHere
    }

    /// Who brought a request.
    enum Bearer {
        case client
        /// Another loop or replica, which takes this one for the owner of the handle.
        case peer
        /// Another one, which has found the owner gone.
        case heir
    }

    /// Serves a request of which not all could be said at once.
    func serveRequest(
        _ request: ModernRequest, of source: HTTPServerRequest, from caller: Caller, _ clientRequest: ClientRequest,
        by bearer: Bearer
    ) async -> Service {
        guard mayName(request.method) else { return .anySession(request) }
        if case .here(let handle, let ownsArgument) = requestLocation(of: request, from: caller) {
            await clientRequest.waitUntilFinished {
                carryCall(request, of: source, from: caller, clientRequest, in: handle, ownsArgument: ownsArgument)
            }
            return .finished
        }
        let waiter = HandleWaiter(until: sessions.loop.now + settings.requestTimeout, on: sessions.loop)
        clientRequest.responder.beginResponse(for: waiter)
        let outcome: RequestOutcome
        do throws(BackendError) {
            switch try await meaning(of: request, from: caller, waiter.list) {
            case .anySession(let plain) where !waiter.hasLeft:
                clientRequest.responder.leaveResponse()
                return .anySession(plain)
            case .anySession:
                outcome = .failed(.clientLeft)
            case .opening:
                outcome = await openSession(for: request, from: caller, waiter)
            case .unnamed(let names):
                outcome = .toolFailure(
                    "Each call of a tool needs a session here, and this one named none. Nothing was run. Call "
                        + "\(names?.openName ?? "open_session") first, and give the session_handle that it returns to this call.",
                    answering: request, serverInfo)
            case .closing(let text):
                let place = place(of: text, from: caller, by: bearer)
                if case .elsewhere(let token) = place {
                    return await forward(request, of: source, to: token, clientRequest, by: bearer, waiter)
                }
                outcome = closeSession(place, for: request)
            case .call(let text, let ownsArgument):
                switch place(of: text, from: caller, by: bearer) {
                case .here(let handle) where !waiter.hasLeft:
                    await clientRequest.waitUntilFinished {
                        carryCall(
                            request, of: source, from: caller, clientRequest, in: handle, ownsArgument: ownsArgument)
                    }
                    return .finished
                case .here: outcome = .failed(.clientLeft)
                case .nowhere where isRetry(request) && !waiter.hasLeft:
                    await clientRequest.waitUntilFinished {
                        carryRetry(
                            request.hidingHandle(ownsArgument: ownsArgument), of: source, from: caller, clientRequest)
                    }
                    return .finished
                case .nowhere: outcome = .handleGone(request, serverInfo)
                case .elsewhere(let token):
                    return await forward(request, of: source, to: token, clientRequest, by: bearer, waiter)
                }
            }
        } catch {
            outcome = .failed(error)
        }
        // A request that found no session may be for a server that speaks 2026-07-28 by now.
        await clientRequest.waitUntilFinished {
            carrier.endCarriedRequest(
                clientRequest, waiter.hasLeft ? .failed(.clientLeft) : outcome, of: source, begins: bearer == .client)
        }
        return .finished
    }

    private enum Place {
        case here(HeldHandle)
        case elsewhere(HandleToken)
        case nowhere
    }

    private func place(of text: [UInt8]?, from caller: Caller, by bearer: Bearer) -> Place {
        guard let text, let token = HandleToken(text, of: caller.identity, by: sealer) else { return .nowhere }
        if let handle = held.heldHandle(token.handle, of: caller.principal, in: sessions) { return .here(handle) }
        // Where its owner is gone, so is its session.
        if token.owner == replicas.owner || bearer == .heir { return .nowhere }
        return .elsewhere(token)
    }

    /// Forwards a request to the loop or replica that has its handle.
    private func forward(
        _ request: ModernRequest, of source: HTTPServerRequest, to token: HandleToken, _ clientRequest: ClientRequest,
        by bearer: Bearer, _ waiter: HandleWaiter
    ) async -> Service {
        guard bearer == .client else { return .notHere }
        clientRequest.responder.leaveResponse()
        switch await replicas.forwardRetry(
            source, of: token.handle, to: token.owner, answering: clientRequest.connection)
        {
        case .takeOverHere:
            clientRequest.responder.beginResponse(for: waiter)
            carrier.finishRequest(
                clientRequest, waiter.hasLeft ? .failed(.clientLeft) : .handleGone(request, serverInfo), of: source.head
            )
        case .answered(let status, let bytes):
            clientRequest.finishForwarded(status: status, bytes: bytes)
        case .unknown(let error), .refused(let error):
            clientRequest.noteFailure(error)
            clientRequest.finishRequest(Refusal(ofHandle: error).map { .refused($0) } ?? .abandoned)
        }
        return .finished
    }

    // MARK: Calls

    /// Carries a request in the session of a handle.
    func carryCall(
        _ request: ModernRequest, of source: HTTPServerRequest, from caller: Caller, _ clientRequest: ClientRequest,
        in handle: HeldHandle, ownsArgument: Bool
    ) {
        let request = request.hidingHandle(ownsArgument: ownsArgument)
        if request.method.isList {
            return ListRequest(of: source, answering: clientRequest, by: carrier)
                .beginReading(request, from: caller, handleKey: handle.key)
        }
        if isRetry(request) { return carryRetry(request, of: source, from: caller, clientRequest) }
        guard request.method.supportsInputRequired, handle.isAskable else {
            return SharedCall(
                request, of: source, from: caller, answering: clientRequest, by: carrier, handleKey: handle.key
            )
            .beginCall()
        }
        carryInteractive(request, of: source, from: caller, clientRequest, at: .new, handle.key)
    }

    private func isRetry(_ request: ModernRequest) -> Bool {
        request.method.supportsInputRequired && interactions.isRetry(request)
    }

    /// Carries a request that goes on with a call. The call may be there although its session is no longer: that takes no new ones.
    private func carryRetry(
        _ request: ModernRequest, of source: HTTPServerRequest, from caller: Caller, _ clientRequest: ClientRequest
    ) {
        let location: Interactions.Location
        do throws(Refusal) {
            location = try interactions.callLocation(of: request, from: caller)
        } catch {
            return carrier.endCarriedRequest(clientRequest, .refused(error), of: source)
        }
        // It ran in the session of the handle, and is not there any more. It must not run in another.
        if case .elsewhere = location {
            return carrier.endCarriedRequest(clientRequest, .callLost(request, serverInfo), of: source, begins: false)
        }
        carryInteractive(request, of: source, from: caller, clientRequest, at: location, nil)
    }

    private func carryInteractive(
        _ request: ModernRequest, of source: HTTPServerRequest, from caller: Caller, _ clientRequest: ClientRequest,
        at location: Interactions.Location, _ key: SessionKey?
    ) {
        interactions.carryRequest(
            request, of: source, from: caller, answering: clientRequest, by: carrier,
            declaring: interactions.declaration(of: request), at: location, handleKey: key)
    }

    // MARK: Opening and closing

    private func openSession(
        for request: ModernRequest, from caller: Caller, _ waiter: HandleWaiter
    ) async -> RequestOutcome {
        guard let offer = settings.handles.offer, !waiter.hasLeft else { return .failed(.clientLeft) }
        guard held.reservePlace(for: caller.principal, settings.handles.maxPerPrincipal) else {
            return .toolFailure(
                "No session was opened: you have \(settings.handles.maxPerPrincipal) open ones, and may have no more "
                    + "(sessions.max_handles_per_principal). Close one that is not needed, or go on with one of them.",
                answering: request, serverInfo)
        }
        let (end, expiry) = (sessions.loop.now + settings.handles.maxAge, UnixTime.now + settings.handles.maxAge)
        let key = held.makeKey(like: carrier.sessionKey(for: request, from: caller))
        do throws(BackendError) {
            try await sessions.openHandleSession(key, credentials: caller.credentials, by: waiter.session)
        } catch {
            held.leavePlace(caller.principal)
            return .failed(error)
        }
        guard !waiter.hasLeft else {
            // No client has its name.
            held.leavePlace(caller.principal)
            sessions.endHandleSession(key)
            return .failed(.clientLeft)
        }
        let id = CallID(random: SecureRandom.bytes)
        let text = HandleToken(handle: id, owner: replicas.owner)
            // The seal has whole seconds: the session is there for all of its time.
            .sealed(for: caller.identity, until: expiry + .seconds(1), by: sealer)
        held.insertHandle(
            HeldHandle(
                id, as: text, key, of: sessions, isAskable: interactions.interactiveCapabilities(of: request) != nil,
                until: end))
        return .answered(
            ModernResponse(
                status: 200,
                text: SplicedText(
                    HandleText.opened(
                        text, until: expiry.iso8601, label: label(in: request), offer, serverInfo: serverInfo,
                        answering: request)), code: nil))
    }

    /// What the client calls the session.
    private func label(in request: ModernRequest) -> String? {
        guard let arguments = request.document.value("arguments", of: request.params, .object),
            let text = request.document.value("label", of: arguments).flatMap({ request.document.string($0) }),
            !text.isEmpty
        else { return nil }
        // By scalars: one character can have any number of marks.
        return String(String.UnicodeScalarView(text.unicodeScalars.prefix(64))).visibleText()
    }

    private func closeSession(_ place: Place, for request: ModernRequest) -> RequestOutcome {
        guard case .here(let handle) = place else { return .handleGone(request, serverInfo) }
        held.endHandle(handle, .closed)
        let text = HandleText.closed(serverInfo: serverInfo, answering: request)
        return .answered(ModernResponse(status: 200, text: SplicedText(text), code: nil))
    }
}

/// A request about handles that waits, and whose client may leave.
private final class HandleWaiter: ResponseProducer {
    let list: ListWaiter
    let session: SessionWaiter
    private(set) var hasLeft = false

    init(until end: Instant, on loop: Loop) {
        list = ListWaiter(until: end, on: loop)
        session = SessionWaiter(until: end)
    }

    func clientLeft() {
        hasLeft = true
        list.cancelWait()
        session.stopWaiting()
    }
}
