import HTTPTransport
import HTTPWire
import Legacy
import MCP
import Reactor
import Translation

/// Calls during which servers may ask: their requests, and what other loops and replicas bring of them.
extension Gateway {
    /// Answers a request that another loop brings, where it was let in: of an older client, whose session is here, or a retry.
    func serveHandedOver(_ source: HTTPServerRequest, by responder: Responder) async {
        if source.head.target.elementsEqual(PeerMessage.sessionTarget) {
            return await olderClients.serveHandedOver(source, begin(source, by: responder))
        }
        guard let task = PeerTask(source.head.target), task != .notify else {
            return responder.connection.respond(HTTPResponse(status: 404, closes: true))
        }
        let clientRequest = begin(source, by: responder)
        switch admit(source, isHandedOver: true, clientRequest) {
        case .finished:
            break
        case .legacy:
            giveAway(clientRequest)
        case .request(let admitted, let caller):
            guard let capabilities = interactions.concern(admitted) else { return giveAway(clientRequest) }
            await interact(admitted, capabilities, source, as: task, from: caller, clientRequest)
        }
    }

    /// - Parameter carrier: ends the request where no task waits for its outcome.
    func leg(
        _ admitted: ModernRequest, of source: HTTPServerRequest, _ clientRequest: ClientRequest,
        _ capabilities: ClientProfiles.Declaration, endedBy carrier: Carrier? = nil
    ) -> CallLeg {
        let leg = CallLeg(
            calls.nextLeg(), admitted, of: source, answering: clientRequest, capabilities: capabilities,
            until: sessions.loop.now + settings.requestTimeout)
        leg.carrier = carrier
        // Its client may have left already, and ends it with this.
        clientRequest.responder.begin(for: leg)
        return leg
    }

    /// Serves a request for a call during which the server may ask.
    ///
    /// - Parameters:
    ///   - capabilities: what the client can be asked, as of ``Interactions/concern(_:)``.
    ///   - task: what another loop or replica wants done with it; nil where its client brought it.
    func interact(
        _ admitted: ModernRequest, _ capabilities: ClientProfiles.Declaration, _ source: HTTPServerRequest,
        as task: PeerTask?, from caller: Caller, _ clientRequest: ClientRequest
    ) async {
        let place = interactions.place(of: admitted, from: caller)
        if case .refused(let refusal) = place { return clientRequest.finish(.refused(refusal)) }
        if case .elsewhere(let state) = place {
            if let task {
                // Whoever asks finds out who goes on.
                guard case .takeOver = task else { return giveAway(clientRequest) }
            } else {
                switch await interactions.pass(source, state, answering: clientRequest.connection) {
                case .takeOverHere: break
                case .answered(let status, let bytes):
                    clientRequest.forwarded()
                    return clientRequest.finish(.relayed(status: status, bytes: bytes))
                case .unknown(let error), .refused(let error):
                    // Whoever has the call was reached, and did not answer.
                    clientRequest.failed(error)
                    return clientRequest.finish(Refusal(handedOver: error).map { .refused($0) } ?? .abandoned)
                }
            }
        }
        let leg = leg(admitted, of: source, clientRequest, capabilities)
        let outcome = await interactions.serve(leg, from: caller, at: place)
        if case .new = place, await carrier.passed(outcome, of: source, clientRequest) { return }
        carrier.finish(leg, outcome)
    }

    /// Tells another loop or replica that the call is not here.
    private func giveAway(_ clientRequest: ClientRequest) {
        clientRequest.forwarded()
        clientRequest.finish(.empty(PeerResponse.gone))
    }
}
