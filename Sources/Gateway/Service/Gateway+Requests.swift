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
    func take(_ request: HTTPServerRequest, by responder: Responder) -> Bool {
        guard bypass.claim(request, on: responder.connection) == nil,
            case .request(let admitted) = admission.admit(request), admitted.method != .listen
        else { return false }
        let capabilities = interactions.concern(admitted)
        if capabilities != nil, interactions.isRetry(admitted) { return false }
        carrier.began()
        let record = RequestRecord(in: tally, since: sessions.loop.now)
        if let capabilities {
            let caller = describe(admitted, request, isHandedOver: false, by: responder, record)
            let leg = leg(admitted, of: request, by: responder, record, capabilities)
            leg.carrier = carrier
            interactions.begin(leg, from: caller)
            return true
        }
        let exchange = begin(
            admitted, of: request, from: describe(admitted, request, isHandedOver: false, by: responder, record),
            by: responder, record)
        if !exchange.start() { carrier.takeTime(for: exchange) }
        return true
    }

    /// Answers a request that was not taken, or returns the subscription that it has begun, for ``listen(_:by:)``: whoever
    /// listens may do so for days, and does not need the request for it.
    func serve(_ request: HTTPServerRequest, by responder: Responder) async -> Listening? {
        let record = RequestRecord(in: tally)
        if let claim = bypass.claim(request, on: responder.connection),
            await bypass.serve(claim, request, on: responder.connection, record)
        {
            return nil
        }
        switch admit(request, isHandedOver: false, by: responder, record) {
        case .answered:
            break
        case .legacy:
            await olderClients.serve(request, by: responder, record)
        case .request(let admitted, let caller):
            if admitted.method == .listen {
                return await beginListening(admitted, of: request.head, from: caller, by: responder, record)
            }
            if let capabilities = interactions.concern(admitted) {
                await interact(admitted, capabilities, request, as: nil, from: caller, by: responder, record)
            } else {
                await carrier.run(begin(admitted, of: request, from: caller, by: responder, record))
            }
        }
        return nil
    }

    func begin(
        _ admitted: ModernRequest, of request: HTTPServerRequest, from caller: Caller, by responder: Responder,
        _ record: RequestRecord
    ) -> Exchange {
        let exchange = Exchange(admitted, of: request, from: caller, to: responder, record, by: carrier)
        responder.begin(for: exchange)
        return exchange
    }

    /// What is to be done with a request.
    enum Admitted {
        /// To be translated, for this caller.
        case request(ModernRequest, Caller)
        /// Of an older revision: to be passed through.
        case legacy
        /// Nothing any more.
        case answered
    }

    func admit(
        _ request: HTTPServerRequest, isHandedOver: Bool, by responder: Responder, _ record: RequestRecord
    ) -> Admitted {
        record.requestBytes = request.body.count
        switch admission.admit(request, isHandedOver: isHandedOver) {
        case .refused(let refusal, let id):
            carrier.refuse(refusal, id: id, by: responder, record)
            return .answered
        case .legacy:
            return .legacy
        case .notification:
            responder.finish(HTTPResponse(status: 202), body: [UInt8]())
            record.status = 202
            record.write(to: log)
            return .answered
        case .request(let admitted):
            return .request(
                admitted, describe(admitted, request, isHandedOver: isHandedOver, by: responder, record))
        }
    }

    func describe(
        _ admitted: ModernRequest, _ request: HTTPServerRequest, isHandedOver: Bool, by responder: Responder,
        _ record: RequestRecord
    ) -> Caller {
        let subject = isHandedOver ? PeerSubject.read(request.head) : responder.connection.clientSubject
        let caller = callers.caller(
            of: request.head, subject: subject,
            client: isHandedOver ? PeerAddress.read(request.head) : responder.connection.clientAddress)
        record.requestBytes = request.body.count
        if settings.toleratesOlderVersionHeader, !isHandedOver, HeaderRules.namesOlderVersion(request.head.fields) {
            tally.counts.toleratedHeader()
        }
        record.describe(admitted, from: caller)
        return caller
    }
}
