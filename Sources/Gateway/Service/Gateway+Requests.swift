import HTTPTransport
import HTTPWire
import Legacy
import MCP
import Reactor
import Translation

/// From a request to what carries it.
extension Gateway {
    /// What carries a request.
    enum Route {
        /// The forwarder, unless the request turns out to have to be translated.
        case forwarded(Forwarder.RequestClass, Caller)
        /// A session of a client of an older revision.
        case older(Caller)
        case listening(ModernRequest, Caller)
        /// A request in the session of a handle that is here.
        case handle(ModernRequest, Caller, HeldHandle, ownsArgument: Bool)
        /// A request that may be about a handle, which is not known yet.
        case perhapsHandle(ModernRequest, Caller)
        /// A request about a task.
        case task(ModernRequest, Caller)
        case list(ModernRequest, Caller)
        /// A call on a session that is shared.
        case shared(ModernRequest, Caller)
        /// A call during which the client can be asked, as it declares, or a retry that goes on with one.
        case interactive(ModernRequest, ClientProfiles.Declaration, Caller, Interactions.Location)
        /// A large body has to be read first.
        case unread(Caller)
        /// None: it is finished.
        case none
    }

    /// A request that waits for more than the answer to its call, and is served by the task of its connection.
    struct Errand {
        fileprivate let source: HTTPServerRequest
        fileprivate let clientRequest: ClientRequest
        fileprivate let route: Route

        /// The connection has ended before the request was served.
        func abandonRequest() {
            clientRequest.noteFailure(.clientLeft)
            clientRequest.finishRequest(.abandoned)
        }
    }

    /// What became of a request that has come.
    enum Reception {
        /// It is carried without a task, as nearly all are: they wait for nothing but the server's answer.
        case taken
        case finished
        case left(Errand)
    }

    /// The one door: where a request of a client comes in, is looked at once, and finds what carries it. What is not finished
    /// at once counts as in flight from now on.
    func receiveRequest(_ source: HTTPServerRequest, by responder: Responder) -> Reception {
        let clientRequest = beginRequest(source, by: responder, since: sessions.loop.now)
        // Taken apart here and at once: a plain call pays for no copy of what it is.
        switch requestRoute(of: source, clientRequest) {
        case .none:
            return .finished
        case .shared(let admitted, let caller):
            carrier.requestBegan()
            carryShared(admitted, of: source, from: caller, clientRequest)
        case .list(let admitted, let caller):
            carrier.requestBegan()
            carryList(admitted, of: source, from: caller, clientRequest)
        case .interactive(let admitted, let capabilities, let caller, .here(let call)):
            carrier.requestBegan()
            carryInteractive(admitted, of: source, clientRequest, capabilities, from: caller, at: .here(call))
        case .interactive(let admitted, let capabilities, let caller, .new):
            carrier.requestBegan()
            carryInteractive(admitted, of: source, clientRequest, capabilities, from: caller, at: .new)
        case .handle(let admitted, let caller, let handle, let ownsArgument):
            carrier.requestBegan()
            handles.carryCall(admitted, of: source, from: caller, clientRequest, in: handle, ownsArgument: ownsArgument)
        case let route:
            carrier.requestBegan()
            return .left(Errand(source: source, clientRequest: clientRequest, route: route))
        }
        return .taken
    }

    // MARK: Stages

    /// The stages of a request, in their order. Each of them finishes it or gives it on. What decides who may do what stands before
    /// anything is forwarded and before a session is opened.
    private func requestRoute(of source: HTTPServerRequest, _ clientRequest: ClientRequest) -> Route {
        let head = source.head
        forwarder.allowOrigin(of: head, on: clientRequest.connection)
        // Door.
        if let refusal = settings.door.originRefusal(of: head) {
            clientRequest.finishRequest(.refused(refusal))
            return .none
        }
        // Preflight.
        if let response = forwarder.preflightResponse(to: head) {
            clientRequest.describeRoute("preflight", head.method.name)
            clientRequest.finishRequest(.empty(response))
            return .none
        }
        // Identify.
        let caller = identifyCaller(source, isHandedOver: false, clientRequest)
        // Forward.
        if let requestClass = forwarder.classifyRequest(head) { return .forwarded(requestClass, caller) }
        // Read, and route by what was read.
        return translatedRoute(of: source, from: caller, clientRequest)
    }

    /// The route of a request that is not forwarded.
    private func translatedRoute(
        of source: HTTPServerRequest, from caller: Caller, _ clientRequest: ClientRequest
    ) -> Route {
        if source.isLarge { return .unread(caller) }
        let admission = admission.admitRequest(source)
        return translatedRoute(
            of: readRequest(source, admission, isHandedOver: false, clientRequest), from: caller, clientRequest)
    }

    private func translatedRoute(of reading: Reading, from caller: Caller, _ clientRequest: ClientRequest) -> Route {
        switch reading {
        case .finished: .none
        case .older: .older(caller)
        case .request(let admitted): translatedRoute(of: admitted, from: caller, clientRequest)
        }
    }

    private func translatedRoute(
        of admitted: ModernRequest, from caller: Caller, _ clientRequest: ClientRequest
    ) -> Route {
        if settings.handles.isOn {
            switch handles.requestLocation(of: admitted, from: caller) {
            case .anySession: break
            case .here(let handle, let ownsArgument):
                return .handle(admitted, caller, handle, ownsArgument: ownsArgument)
            case .unknown: return .perhapsHandle(admitted, caller)
            }
        }
        return routeWithoutHandle(of: admitted, from: caller, clientRequest)
    }

    /// The route of a request for which any session of its caller will do.
    private func routeWithoutHandle(
        of admitted: ModernRequest, from caller: Caller, _ clientRequest: ClientRequest
    ) -> Route {
        if admitted.method.isBehindCalls {
            // One look for all that few requests are.
            if admitted.method == .listen { return .listening(admitted, caller) }
            if admitted.method.isAboutTask { return .task(admitted, caller) }
        }
        if admitted.method.isList { return .list(admitted, caller) }
        guard let capabilities = interactions.interactiveCapabilities(of: admitted) else {
            return .shared(admitted, caller)
        }
        do throws(Refusal) {
            return .interactive(
                admitted, capabilities, caller, try interactions.callLocation(of: admitted, from: caller))
        } catch {
            clientRequest.finishRequest(.refused(error))
            return .none
        }
    }

    /// Who sent a request, which is known of it from here on.
    ///
    /// - Parameter isHandedOver: whether another loop or replica let it in, and says of which client it is.
    func identifyCaller(_ source: HTTPServerRequest, isHandedOver: Bool, _ clientRequest: ClientRequest) -> Caller {
        let connection = clientRequest.connection
        let caller = callers.identifyCaller(
            of: source.head, subject: isHandedOver ? PeerSubject.readSubject(source.head) : connection.clientSubject,
            client: isHandedOver ? PeerAddress.readAddress(source.head) : connection.clientAddress)
        clientRequest.noteCaller(caller)
        return caller
    }

    /// What was read.
    enum Reading {
        /// A request, to be translated.
        case request(ModernRequest)
        /// A message of an older revision.
        case older
        /// Nothing any more.
        case finished
    }

    /// Reads a request in as many turns of the loop as its size takes.
    func readRequest(
        _ source: HTTPServerRequest, isHandedOver: Bool, _ clientRequest: ClientRequest
    ) async -> Reading {
        let admission = await admission.admitRequest(source, isHandedOver: isHandedOver, on: sessions.loop)
        return readRequest(source, admission, isHandedOver: isHandedOver, clientRequest)
    }

    private func readRequest(
        _ source: HTTPServerRequest, _ admission: Admission, isHandedOver: Bool, _ clientRequest: ClientRequest
    ) -> Reading {
        switch admission {
        case .refused(let refusal, let id):
            clientRequest.rawID = id.map { $0[...] }
            clientRequest.finishRequest(.refused(refusal))
            return .finished
        case .legacy:
            return .older
        case .notification:
            clientRequest.finishRequest(.empty(HTTPResponse(status: 202)))
            return .finished
        case .request(let admitted):
            if settings.toleratesOlderVersionHeader, !isHandedOver, HeaderRules.namesOlderVersion(source.head.fields) {
                noteToleratedHeader()
            }
            clientRequest.describeMessage(admitted)
            return .request(admitted)
        }
    }

    // MARK: Carriers

    private func carryShared(
        _ admitted: ModernRequest, of source: HTTPServerRequest, from caller: Caller, _ clientRequest: ClientRequest
    ) {
        SharedCall(admitted, of: source, from: caller, answering: clientRequest, by: carrier).beginCall()
    }

    private func carryList(
        _ admitted: ModernRequest, of source: HTTPServerRequest, from caller: Caller, _ clientRequest: ClientRequest
    ) {
        ListRequest(of: source, answering: clientRequest, by: carrier)
            .beginReading(admitted, from: caller, with: handles.keysWithOwnTools(for: admitted, of: caller))
    }

    /// Serves a request that was left to the task of its connection. Returns the subscription that it has begun, for
    /// ``listen(_:)``: a client may listen for days, and the subscription does not need the message for it.
    func serveErrand(_ errand: consuming Errand) async -> Listening? {
        let (source, clientRequest) = (errand.source, errand.clientRequest)
        guard case .forwarded(let requestClass, let caller) = errand.route else {
            return await serveRoute(source, clientRequest, errand.route)
        }
        if await forwarder.serveRequest(requestClass, source, from: caller, clientRequest) { return nil }
        return await serveRoute(source, clientRequest, translatedRoute(of: source, from: caller, clientRequest))
    }

    private func serveRoute(
        _ source: HTTPServerRequest, _ clientRequest: ClientRequest, _ route: Route
    ) async -> Listening? {
        switch route {
        case .none, .forwarded:
            break
        case .unread(let caller):
            let reading = await readRequest(source, isHandedOver: false, clientRequest)
            return await serveRoute(source, clientRequest, translatedRoute(of: reading, from: caller, clientRequest))
        case .older(let caller):
            await olderClients.serveOlderClient(source, from: caller, clientRequest)
        case .listening(let admitted, let caller):
            return await beginListening(admitted, of: source, from: caller, clientRequest)
        case .handle(let admitted, let caller, let handle, let ownsArgument):
            await clientRequest.waitUntilFinished {
                handles.carryCall(
                    admitted, of: source, from: caller, clientRequest, in: handle, ownsArgument: ownsArgument)
            }
        case .perhapsHandle(let admitted, let caller):
            let service = await handles.serveRequest(admitted, of: source, from: caller, clientRequest, by: .client)
            guard case .anySession(let plain) = service else { return nil }
            return await serveRoute(
                source, clientRequest, routeWithoutHandle(of: plain, from: caller, clientRequest))
        case .task(let admitted, let caller):
            await tasks.serveRequest(admitted, of: source, from: caller, clientRequest)
        case .interactive(let admitted, let capabilities, let caller, .elsewhere(let state)):
            await forwardRetry(admitted, of: source, clientRequest, capabilities, from: caller, state)
        case .shared(let admitted, let caller):
            await clientRequest.waitUntilFinished { carryShared(admitted, of: source, from: caller, clientRequest) }
        case .list(let admitted, let caller):
            await clientRequest.waitUntilFinished { carryList(admitted, of: source, from: caller, clientRequest) }
        case .interactive(let admitted, let capabilities, let caller, let location):
            await clientRequest.waitUntilFinished {
                carryInteractive(admitted, of: source, clientRequest, capabilities, from: caller, at: location)
            }
        }
        return nil
    }
}
