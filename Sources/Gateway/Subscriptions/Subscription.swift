import Translation

/// One `subscriptions/listen` request: an event stream that stays open (2026-07-28, basic/patterns/subscriptions).
///
/// While its client does not take what was sent, notices gather as a set: one that comes twice is told once.
final class Subscription: Answerer {
    /// Notices about resources below those listened to that are kept for a slow client. Beyond them only the resource
    /// that was asked for is named.
    private static let maxNested = 64

    /// The request's id, as the client spelled it.
    let id: [UInt8]
    private let responder: Responder
    private var honoured = SubscriptionFilter()
    private var isAcknowledged = false
    private var pending: [ChangeNotice] = []
    /// The same, to be looked up.
    private var isPending: Set<ChangeNotice> = []
    private var completion: [UInt8]?
    private(set) var isEnded = false
    /// How many notices were sent.
    private(set) var notices = 0

    init(id: [UInt8], to responder: Responder) {
        self.id = id
        self.responder = responder
    }

    /// Tells the client what it will hear of. Notices that came before are sent after it.
    func acknowledge(_ filter: SubscriptionFilter) {
        honoured = filter
        responder.send(SubscriptionText.acknowledgment(of: filter, id: id))
        isAcknowledged = true
        sendPending()
    }

    /// Sends a notice, or keeps it until the client has taken what was sent before.
    func tell(_ notice: ChangeNotice, _ text: ChangeNoticeText) {
        if isEnded { return }
        guard isAcknowledged, !responder.hasUnsent else { return keep(notice) }
        notices += 1
        responder.send(text.message(to: id))
    }

    private func keep(_ notice: ChangeNotice) {
        guard isPending.insert(notice).inserted else { return }
        pending.append(notice)
        guard case .resourceUpdated = notice, pending.count > honoured.resources.count + Subscription.maxNested else {
            return
        }
        // Too many different ones: the client reads again whatever it listens to.
        pending.removeAll { if case .resourceUpdated = $0 { true } else { false } }
        pending += honoured.resources.map { .resourceUpdated($0) }
        isPending = Set(pending)
    }

    private func sendPending() {
        while let notice = pending.first, !responder.hasUnsent {
            pending.removeFirst()
            isPending.remove(notice)
            notices += 1
            responder.send(notice.text.message(to: id))
        }
    }

    /// Returns when the subscription has ended: because the client went away, or by `end`.
    func run() async {
        while !isEnded {
            await responder.change()
            if isAcknowledged { sendPending() }
        }
    }

    /// The subscription ends on this side, and the client is told that it was not lost.
    ///
    /// - Parameter serverInfo: as the server spelled it.
    func end(serverInfo: [UInt8]) {
        if isEnded { return }
        isEnded = true
        completion = SubscriptionText.completion(id: id, serverInfo: serverInfo)
        responder.wake()
    }

    /// The client has gone away.
    func clientLeft() {
        isEnded = true
        responder.wake()
    }

    /// The answer to the request, if there is somebody to get it.
    var result: [UInt8]? { completion }
}
