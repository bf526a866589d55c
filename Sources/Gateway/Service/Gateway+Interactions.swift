import HTTPTransport
import HTTPWire
import Legacy
import MCP
import Reactor
import Translation

/// Calls during which servers may ask: their requests, and what other loops and replicas bring of them.
extension Gateway {
    /// Answers a request that another loop brings, where it was let in: of an older client, whose session is here, or a retry.
    func serveHandedOver(_ request: HTTPServerRequest, by responder: Responder) async {
        if request.head.target.elementsEqual(PeerMessage.sessionTarget) {
            return await olderClients.serveHandedOver(request, by: responder, RequestRecord(in: tally))
        }
        guard let task = PeerTask(request.head.target), task != .hear else {
            return responder.connection.respond(HTTPResponse(status: 404, closes: true))
        }
        let record = RequestRecord(in: tally)
        switch admit(request, isHandedOver: true, by: responder, record) {
        case .answered:
            break
        case .legacy:
            giveAway(by: responder, record)
        case .request(let admitted, let caller):
            guard let capabilities = interactions.concern(admitted) else { return giveAway(by: responder, record) }
            await interact(admitted, capabilities, request, as: task, from: caller, by: responder, record)
        }
    }

    func leg(
        _ admitted: ModernRequest, of request: HTTPServerRequest, by responder: Responder, _ record: RequestRecord,
        _ capabilities: ClientProfiles.Declaration
    ) -> CallLeg {
        let leg = CallLeg(
            calls.nextLeg(), admitted, of: request, to: responder, record, capabilities: capabilities,
            until: sessions.loop.now + settings.requestTimeout)
        responder.begin(for: leg)
        return leg
    }

    /// Serves a request for a call during which the server may ask.
    ///
    /// - Parameters:
    ///   - capabilities: what the client can be asked, as of ``Interactions/concern(_:)``.
    ///   - task: what another loop or replica wants done with it; nil where its client brought it.
    func interact(
        _ admitted: ModernRequest, _ capabilities: ClientProfiles.Declaration, _ request: HTTPServerRequest,
        as task: PeerTask?, from caller: Caller, by responder: Responder, _ record: RequestRecord
    ) async {
        let id = Array(admitted.rawID)
        let place = interactions.place(of: admitted, from: caller)
        if case .refused(let refusal) = place { return carrier.refuse(refusal, id: id, by: responder, record) }
        if case .elsewhere(let state) = place {
            if let task {
                // Whoever asks finds out who goes on.
                guard case .succeed = task else { return giveAway(by: responder, record) }
            } else {
                switch await interactions.pass(request, state, answering: responder.connection) {
                case .ours: break
                case .answered(let status, let bytes): return record.forwarded(status: status, bytes: bytes, to: log)
                case .unknown(let error), .refused(let error):
                    return failHandedOver(error, id: id, by: responder, record)
                }
            }
        }
        let leg = leg(admitted, of: request, by: responder, record, capabilities)
        let outcome = await interactions.serve(leg, from: caller, at: place)
        if case .new = place, await carrier.passed(outcome, of: request, by: responder, record) { return }
        carrier.conclude(outcome, of: leg)
    }

    /// Tells another loop or replica that the call is not here.
    func giveAway(by responder: Responder, _ record: RequestRecord) {
        responder.connection.respond(PeerAnswer.gone)
        record.forwarded(status: 410, bytes: 0, to: log)
    }

    /// Whoever has the call was reached, and did not answer.
    func failHandedOver(
        _ error: BackendError, id: [UInt8], by responder: Responder, _ record: RequestRecord
    ) {
        record.failed(error)
        guard let refusal = Refusal(handedOver: error) else {
            return carrier.close(record)
        }
        carrier.refuse(refusal, id: id, by: responder, record)
    }
}
