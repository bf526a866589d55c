import HTTPTransport
import HTTPWire
import Legacy
import MCP
import Translation

/// `subscriptions/listen`.
extension Gateway {
    /// A subscription that was begun.
    struct Listening {
        let subscription: Subscription
        let place: Subscriptions.Place
        let record: RequestRecord
    }

    func beginListening(
        _ request: ModernRequest, of head: HTTPRequestHead, from caller: Caller, by responder: Responder,
        _ record: RequestRecord
    ) async -> Listening? {
        let subscription = Subscription(id: Array(request.rawID), to: responder)
        responder.begin(for: subscription)
        switch await subscriptions.begin(request, from: caller, subscription) {
        case .begun(let place):
            return Listening(subscription: subscription, place: place, record: record)
        case .refused(let refusal):
            carrier.refuse(refusal, id: subscription.id, by: responder, record)
        case .failed(let error):
            carrier.fail(error, id: subscription.id, of: head, by: responder, record)
        }
        return nil
    }

    /// Serves a subscription until it ends.
    func listen(_ listening: Listening, by responder: Responder) async {
        await listening.subscription.run()
        listening.place.leave()
        listening.record.notifications = listening.subscription.cues
        if let result = listening.subscription.result {
            carrier.conclude(200, text: result, by: responder, listening.record)
        } else {
            listening.record.failed(.clientLeft)
            carrier.close(listening.record)
        }
    }
}
