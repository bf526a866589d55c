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
        let place: Subscriptions.Place
        let clientRequest: ClientRequest
    }

    func beginListening(
        _ request: ModernRequest, of head: HTTPRequestHead, from caller: Caller, _ clientRequest: ClientRequest
    ) async -> Listening? {
        let subscription = Subscription(id: Array(request.rawID), to: clientRequest.responder)
        // It may stay for days, and needs nothing else of the message.
        clientRequest.rawID = subscription.id[...]
        clientRequest.responder.begin(for: subscription)
        switch await subscriptions.begin(request, from: caller, subscription) {
        case .begun(let place):
            return Listening(subscription: subscription, place: place, clientRequest: clientRequest)
        case .refused(let refusal):
            carrier.finish(clientRequest, .refused(refusal), of: head)
        case .failed(let error):
            carrier.finish(clientRequest, .failed(error), of: head)
        }
        return nil
    }

    /// Serves a subscription until it ends.
    func listen(_ listening: Listening) async {
        await listening.subscription.run()
        listening.place.leave()
        let clientRequest = listening.clientRequest
        clientRequest.notifications = listening.subscription.notices
        if let result = listening.subscription.result {
            clientRequest.finish(.answered(Answer(status: 200, text: SplicedText(result), code: nil)))
        } else {
            clientRequest.failed(.clientLeft)
            clientRequest.finish(.abandoned)
        }
    }
}
