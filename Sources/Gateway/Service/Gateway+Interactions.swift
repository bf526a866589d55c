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
            let clientRequest = beginRequest(source, by: responder)
            let caller = identifyCaller(source, isHandedOver: true, clientRequest)
            return await olderClients.serveHandedOver(source, from: caller, clientRequest)
        }
        guard let task = PeerTask(source.head.target), task != .notify else {
            return responder.connection.respond(HTTPResponse(status: 404, closes: true))
        }
        let isSuccessor = if case .takeOver = task { true } else { false }
        let clientRequest = beginRequest(source, by: responder)
        let caller = identifyCaller(source, isHandedOver: true, clientRequest)
        switch await readRequest(source, isHandedOver: true, clientRequest) {
        case .finished:
            break
        case .older:
            giveAway(clientRequest)
        case .request(let admitted) where admitted.method == .listen:
            guard isSuccessor || tasks.hasTask(of: admitted, from: caller) else { return giveAway(clientRequest) }
            let listening = await beginListening(
                admitted, of: source, from: caller, clientRequest, as: isSuccessor ? .successor : .here)
            if let listening { await serveSubscription(listening) }
        case .request(let admitted) where admitted.method.isAboutTask:
            if await !tasks.serveHandedOver(admitted, of: source, from: caller, clientRequest, isSuccessor: isSuccessor)
            {
                giveAway(clientRequest)
            }
        case .request(let admitted):
            if settings.handles.isOn, admitted.handleMention != .none {
                switch await handles.serveRequest(
                    admitted, of: source, from: caller, clientRequest, by: isSuccessor ? .heir : .peer)
                {
                case .finished: return
                case .notHere: return giveAway(clientRequest)
                case .anySession: break
                }
            }
            guard let capabilities = interactions.interactiveCapabilities(of: admitted) else {
                return giveAway(clientRequest)
            }
            let location: Interactions.Location
            do throws(Refusal) {
                location = try interactions.callLocation(of: admitted, from: caller)
            } catch {
                return clientRequest.finishRequest(.refused(error))
            }
            // Another replica goes on with a lost call only where it was asked to, and does not know what became of one that was
            // here.
            if case .elsewhere(let state) = location, case .serveRetry = task, !calls.hasSpent(state) {
                return giveAway(clientRequest)
            }
            await clientRequest.waitUntilFinished {
                // One that was brought to the loop that had its call goes no further: its client comes again.
                carryInteractive(
                    admitted, of: source, clientRequest, capabilities, from: caller, at: location,
                    by: isSuccessor ? .replica : nil)
            }
        }
    }

    /// Carries a request for a call during which the server may ask, where it belongs to this loop.
    func carryInteractive(
        _ admitted: ModernRequest, of source: HTTPServerRequest, _ clientRequest: ClientRequest,
        _ capabilities: ClientProfiles.Declaration, from caller: Caller, at location: Interactions.Location,
        by origin: CallLeg.Origin? = .client
    ) {
        interactions.carryRequest(
            admitted, of: source, from: caller, answering: clientRequest, by: carrier, declaring: capabilities,
            at: location, from: origin)
    }

    /// Forwards a retry to the loop or replica that has its call, or goes on with the call where that falls to this loop.
    func forwardRetry(
        _ admitted: ModernRequest, of source: HTTPServerRequest, _ clientRequest: ClientRequest,
        _ capabilities: ClientProfiles.Declaration, from caller: Caller, _ state: RequestState
    ) async {
        // What others know of one that was sent here, and is forgotten, is that it was not sent.
        let result: Replicas.ForwardResult =
            calls.hasSpent(state)
            ? .takeOverHere : await interactions.forwardRetry(source, state, answering: clientRequest.connection)
        switch result {
        case .takeOverHere:
            await clientRequest.waitUntilFinished {
                carryInteractive(admitted, of: source, clientRequest, capabilities, from: caller, at: .elsewhere(state))
            }
        case .answered(let status, let bytes):
            clientRequest.finishForwarded(status: status, bytes: bytes)
        case .unknown(let error), .refused(let error):
            // The owner of the call was reached, and did not answer.
            clientRequest.noteFailure(error)
            clientRequest.finishRequest(Refusal(handedOver: error).map { .refused($0) } ?? .abandoned)
        }
    }

    /// Tells another loop or replica that the call is not here.
    private func giveAway(_ clientRequest: ClientRequest) {
        clientRequest.noteForwarding()
        clientRequest.finishRequest(.empty(PeerResponse.gone))
    }
}
