import HTTPTransport
import HTTPWire
import Legacy
import MCP
import Reactor
import Translation

/// From a request to what carries it.
extension Gateway {
    /// What carries a request.
    enum Way {
        /// What is served beside translated calls, unless that turns out not to be so.
        case beside(Forwarder.RequestClass)
        /// A session of a client of an older revision.
        case older
        case listening(ModernRequest, Caller)
        case list(ModernRequest, Caller)
        /// A call on a session that is shared.
        case shared(ModernRequest, Caller)
        /// A call during which the client can be asked, as it declares, or a retry that goes on with one.
        case interactive(ModernRequest, ClientProfiles.Declaration, Caller, Interactions.Place)
        /// None: it is finished.
        case none
    }

    /// A request that waits for more than the answer to its call, and is served by the task of its connection.
    struct Errand {
        fileprivate let source: HTTPServerRequest
        fileprivate let clientRequest: ClientRequest
        fileprivate let way: Way

        /// The connection has ended before the request was served.
        func abandon() {
            clientRequest.failed(.clientLeft)
            clientRequest.finish(.abandoned)
        }
    }

    /// What became of a request that has come.
    enum Reception {
        /// It is carried without a task, as nearly all are: they wait for nothing but the server's answer.
        case taken
        case finished
        case left(Errand)
    }

    /// The one door: where a request of a client comes in, is looked at once, and finds its way. It counts as in flight from now on.
    func receive(_ source: HTTPServerRequest, by responder: Responder) -> Reception {
        let clientRequest = begin(source, by: responder, since: sessions.loop.now)
        let way = forwarder.classify(source, on: responder.connection).map { .beside($0) } ?? way(of: source, clientRequest)
        if case .none = way { return .finished }
        carrier.began()
        if carry(source, clientRequest, way) { return .taken }
        return .left(Errand(source: source, clientRequest: clientRequest, way: way))
    }

    /// Begins what needs no task of the connection. Returns false where the request does.
    private func carry(_ source: HTTPServerRequest, _ clientRequest: ClientRequest, _ way: Way) -> Bool {
        switch way {
        case .shared(let admitted, let caller):
            SharedCall(admitted, of: source, from: caller, answering: clientRequest, by: carrier).begin()
        case .interactive(_, _, _, .elsewhere):
            return false
        case .interactive(let admitted, let capabilities, let caller, let place):
            carry(admitted, of: source, clientRequest, capabilities, from: caller, at: place)
        case .list(let admitted, let caller):
            ListRequest(of: source, answering: clientRequest, by: carrier).begin(admitted, from: caller)
        case .none, .beside, .older, .listening:
            return false
        }
        return true
    }

    /// Serves a request that was left to the task of its connection. Returns the subscription that it has begun, for
    /// ``listen(_:)``: a client may listen for days, and the subscription does not need the message for it.
    func serve(_ errand: consuming Errand) async -> Listening? {
        let (source, clientRequest) = (errand.source, errand.clientRequest)
        guard case .beside(let claim) = errand.way else { return await serve(source, clientRequest, errand.way) }
        if await forwarder.serveRequest(claim, source, clientRequest) { return nil }
        return await serve(source, clientRequest, way(of: source, clientRequest))
    }

    private func serve(
        _ source: HTTPServerRequest, _ clientRequest: ClientRequest, _ way: Way
    ) async -> Listening? {
        switch way {
        case .none, .beside:
            break
        case .older:
            await olderClients.serve(source, clientRequest)
        case .listening(let admitted, let caller):
            return await beginListening(admitted, of: source.head, from: caller, clientRequest)
        case .interactive(let admitted, let capabilities, let caller, .elsewhere(let state)):
            await forwardRetry(admitted, of: source, clientRequest, capabilities, from: caller, state)
        case .list, .shared, .interactive:
            await clientRequest.carried { _ = carry(source, clientRequest, way) }
        }
        return nil
    }

    /// The way of a request that is not served beside translated calls.
    private func way(of source: HTTPServerRequest, _ clientRequest: ClientRequest) -> Way {
        switch admit(source, isHandedOver: false, clientRequest) {
        case .finished: .none
        case .legacy: .older
        case .request(let admitted, let caller):
            way(of: admitted, from: caller)
        }
    }

    private func way(of admitted: ModernRequest, from caller: Caller) -> Way {
        if admitted.method == .listen { return .listening(admitted, caller) }
        if admitted.method.isList { return .list(admitted, caller) }
        guard let capabilities = interactions.concern(admitted) else { return .shared(admitted, caller) }
        return .interactive(admitted, capabilities, caller, interactions.place(of: admitted, from: caller))
    }

    /// What is to be done with a request.
    enum Admitted {
        /// To be translated, for this caller.
        case request(ModernRequest, Caller)
        /// Of an older revision: to be passed through.
        case legacy
        /// Nothing any more.
        case finished
    }

    func admit(_ source: HTTPServerRequest, isHandedOver: Bool, _ clientRequest: ClientRequest) -> Admitted {
        switch admission.admit(source, isHandedOver: isHandedOver) {
        case .refused(let refusal, let id):
            clientRequest.rawID = id.map { $0[...] }
            clientRequest.finish(.refused(refusal))
            return .finished
        case .legacy:
            return .legacy
        case .notification:
            clientRequest.finish(.empty(HTTPResponse(status: 202)))
            return .finished
        case .request(let admitted):
            return .request(admitted, caller(of: admitted, source, isHandedOver: isHandedOver, clientRequest))
        }
    }

    /// The caller of a request that was admitted, which is known of it from here on.
    private func caller(
        of admitted: ModernRequest, _ source: HTTPServerRequest, isHandedOver: Bool, _ clientRequest: ClientRequest
    ) -> Caller {
        let connection = clientRequest.connection
        let caller = callers.caller(
            of: source.head, subject: isHandedOver ? PeerSubject.read(source.head) : connection.clientSubject,
            client: isHandedOver ? PeerAddress.read(source.head) : connection.clientAddress)
        if settings.toleratesOlderVersionHeader, !isHandedOver, HeaderRules.namesOlderVersion(source.head.fields) {
            noteToleratedHeader()
        }
        clientRequest.describe(admitted, from: caller)
        return caller
    }
}
