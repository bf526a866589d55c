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
        /// A call on a session that is shared.
        case shared(ModernRequest, Caller)
        /// A call during which the client can be asked, as it declares, or a retry of one.
        case interactive(ModernRequest, ClientProfiles.Declaration, Caller)
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
        let way =
            forwarder.classify(source, on: responder.connection).map { .beside($0) } ?? way(of: source, clientRequest)
        switch way {
        case .none:
            return .finished
        case .shared(let admitted, let caller):
            carrier.began()
            let exchange = exchange(admitted, of: source, from: caller, clientRequest)
            if !exchange.start() { carrier.takeTime(for: exchange) }
            return .taken
        case .interactive(let admitted, let capabilities, let caller) where !interactions.isRetry(admitted):
            carrier.began()
            interactions.begin(leg(admitted, of: source, clientRequest, capabilities, endedBy: carrier), from: caller)
            return .taken
        case .beside, .older, .listening, .interactive:
            carrier.began()
            return .left(Errand(source: source, clientRequest: clientRequest, way: way))
        }
    }

    /// Serves a request that was left to the task of its connection. Returns the subscription that it has begun, for
    /// ``listen(_:)``: whoever listens may do so for days, and does not need the message for it.
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
        case .shared(let admitted, let caller):
            await carrier.run(exchange(admitted, of: source, from: caller, clientRequest))
        case .interactive(let admitted, let capabilities, let caller):
            await interact(admitted, capabilities, source, as: nil, from: caller, clientRequest)
        }
        return nil
    }

    /// The way of a request that is not served beside translated calls.
    private func way(of source: HTTPServerRequest, _ clientRequest: ClientRequest) -> Way {
        switch admit(source, isHandedOver: false, clientRequest) {
        case .finished: .none
        case .legacy: .older
        case .request(let admitted, let caller):
            if admitted.method == .listen {
                .listening(admitted, caller)
            } else if let capabilities = interactions.concern(admitted) {
                .interactive(admitted, capabilities, caller)
            } else {
                .shared(admitted, caller)
            }
        }
    }

    private func exchange(
        _ admitted: ModernRequest, of source: HTTPServerRequest, from caller: Caller, _ clientRequest: ClientRequest
    ) -> Exchange {
        let exchange = Exchange(admitted, of: source, from: caller, answering: clientRequest, by: carrier)
        clientRequest.responder.begin(for: exchange)
        return exchange
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
