import HTTPTransport
import HTTPWire
import Legacy
import MCP
import Reactor
import Translation

/// From a request to what carries it.
extension Gateway {
    /// Offered a request when it has come: takes it if it is one to translate on a session that is shared. Nearly all of
    /// these wait for nothing but the server's answer, and need no task for that.
    func take(_ source: HTTPServerRequest, by responder: Responder) -> Bool {
        guard bypass.claim(source, on: responder.connection) == nil,
            case .request(let admitted) = admission.admit(source), admitted.method != .listen
        else { return false }
        let capabilities = interactions.concern(admitted)
        if capabilities != nil, interactions.isRetry(admitted) { return false }
        carrier.began()
        let clientRequest = begin(source, by: responder, since: sessions.loop.now)
        let caller = caller(of: admitted, source, isHandedOver: false, clientRequest)
        if let capabilities {
            let leg = leg(admitted, of: source, clientRequest, capabilities)
            leg.carrier = carrier
            interactions.begin(leg, from: caller)
            return true
        }
        let exchange = exchange(admitted, of: source, from: caller, clientRequest)
        if !exchange.start() { carrier.takeTime(for: exchange) }
        return true
    }

    /// Answers a request that was not taken, or returns the subscription that it has begun, for ``listen(_:)``: whoever
    /// listens may do so for days, and does not need the message for it.
    func serve(_ source: HTTPServerRequest, by responder: Responder) async -> Listening? {
        let clientRequest = begin(source, by: responder)
        if let claim = bypass.claim(source, on: responder.connection), await bypass.serve(claim, source, clientRequest)
        {
            return nil
        }
        switch admit(source, isHandedOver: false, clientRequest) {
        case .finished:
            break
        case .legacy:
            await olderClients.serve(source, clientRequest)
        case .request(let admitted, let caller):
            if admitted.method == .listen {
                return await beginListening(admitted, of: source.head, from: caller, clientRequest)
            }
            if let capabilities = interactions.concern(admitted) {
                await interact(admitted, capabilities, source, as: nil, from: caller, clientRequest)
            } else {
                await carrier.run(exchange(admitted, of: source, from: caller, clientRequest))
            }
        }
        return nil
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
