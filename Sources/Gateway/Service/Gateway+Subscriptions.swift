import HTTPTransport
import HTTPWire
import JSONText
import Legacy
import MCP
import Translation

/// `subscriptions/listen`.
extension Gateway {
    /// A subscription that was begun.
    struct Listening {
        let subscription: Subscription
        let place: Subscriptions.Attachment
        let clientRequest: ClientRequest
    }

    /// Begins a subscription. Returns nil where the request is finished.
    ///
    /// - Parameter place: says for a request that another loop or replica brings whether the replica that had its tasks is gone. Nil: a client
    ///   sent the request.
    func beginListening(
        _ request: ModernRequest, of source: HTTPServerRequest, from caller: Caller, _ clientRequest: ClientRequest,
        as place: Tasks.Listening? = nil
    ) async -> Listening? {
        let head = source.head
        let served: Tasks.Listening =
            if let place { place } else {
                await tasks.forwardListening(request, of: source, from: caller, clientRequest)
            }
        if case .elsewhere = served { return nil }
        let areLost = if case .successor = served { true } else { false }
        let subscription = Subscription(id: Array(request.rawID), to: clientRequest.responder)
        // It may stay for days, and needs nothing else of the message.
        clientRequest.rawID = subscription.id[...]
        clientRequest.responder.beginResponse(for: subscription)
        let watching: ([[UInt8]]) -> [[UInt8]] = { [tasks] in
            tasks.watchTasks($0, of: request, from: caller, for: subscription, areLost: areLost)
        }
        switch await subscriptions.beginSubscription(request, from: caller, subscription, watching: watching) {
        case .begun(let place):
            return Listening(subscription: subscription, place: place, clientRequest: clientRequest)
        case .refused(let refusal):
            carrier.finishRequest(clientRequest, .refused(refusal), of: head)
        case .failed(let error):
            carrier.finishRequest(clientRequest, .failed(error), of: head)
        }
        return nil
    }

    /// Serves a subscription until it ends.
    func serveSubscription(_ listening: Listening) async {
        await listening.subscription.runSubscription()
        listening.place.leaveChannel()
        let clientRequest = listening.clientRequest
        clientRequest.notifications = listening.subscription.notices
        if let result = listening.subscription.result {
            clientRequest.finishRequest(.answered(ModernResponse(status: 200, text: SplicedText(result), code: nil)))
        } else {
            clientRequest.noteFailure(.clientLeft)
            clientRequest.finishRequest(.abandoned)
        }
    }
}
