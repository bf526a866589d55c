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
        began()
        let record = RequestRecord(in: tally, since: sessions.loop.now)
        if let capabilities {
            let caller = describe(admitted, request, isHandedOver: false, by: responder, record)
            let leg = leg(admitted, of: request, by: responder, record, capabilities)
            leg.gateway = self
            interactions.begin(leg, from: caller)
            return true
        }
        let exchange = begin(
            admitted, of: request, from: describe(admitted, request, isHandedOver: false, by: responder, record),
            by: responder, record)
        if !exchange.start() { takeTime(for: exchange) }
        return true
    }

    /// Something has come of what ``Exchange/start()`` has sent.
    func goOn(with exchange: Exchange) {
        guard let outcome = exchange.finish() else { return takeTime(for: exchange) }
        conclude(outcome, of: exchange)
        served(by: exchange.responder)
    }

    /// Does with a task what is left to do for a request that was taken.
    func takeTime(for exchange: Exchange) {
        sessions.loop.spawn {
            await self.run(exchange)
            self.served(by: exchange.responder)
        }
    }

    func served(by responder: Responder) {
        ended()
        responder.connection.served()
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
                await run(begin(admitted, of: request, from: caller, by: responder, record))
            }
        }
        return nil
    }

    func begin(
        _ admitted: ModernRequest, of request: HTTPServerRequest, from caller: Caller, by responder: Responder,
        _ record: RequestRecord
    ) -> Exchange {
        let exchange = Exchange(admitted, of: request, from: caller, to: responder, record, by: self)
        responder.begin(for: exchange)
        return exchange
    }

    func run(_ exchange: Exchange) async {
        let outcome = await exchange.run()
        if await passed(outcome, of: exchange.source, by: exchange.responder, exchange.record) { return }
        conclude(outcome, of: exchange)
    }

    /// Passes on a request that found no session, where the server turns out to speak 2026-07-28 by now. Returns whether it
    /// did.
    func passed(
        _ outcome: Exchange.Outcome, of request: HTTPServerRequest, by responder: Responder, _ record: RequestRecord
    ) async -> Bool {
        // An answer that has begun as a stream goes on as one: another status and other fields would come too late.
        guard outcome.wasNeverSent, bypass.servesWithoutSession, !responder.isStreaming else {
            return false
        }
        responder.leave()
        await bypass.pass(request, on: responder.connection, record, isModern: true)
        return true
    }

    func conclude(_ outcome: Exchange.Outcome, of exchange: Exchange) {
        exchange.record.notifications = exchange.forwarded
        conclude(
            outcome, id: Array(exchange.rawID), of: exchange.source.head, by: exchange.responder, exchange.record)
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
            refuse(refusal, id: id, by: responder, record)
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
