import JSONText
import Translation

/// One `subscriptions/listen` request: an event stream that stays open (2026-07-28, basic/patterns/subscriptions).
///
/// While its client does not take what was sent, notices gather as a set: one that comes twice is told once.
final class Subscription: ResponseProducer {
    /// Notices about resources below those listened to that are kept for a slow client. Beyond them only the resource
    /// that was asked for is named.
    private static let maxNested = 64

    /// The request's id, as the client spelled it.
    let id: [UInt8]
    private let responder: Responder
    /// What the client was told that it will hear of; `nil` before that.
    private var honoured: SubscriptionFilter?
    private var pending: [ChangeNotice] = []
    /// The same, to be looked up.
    private var isPending: Set<ChangeNotice> = []
    private var completion: [UInt8]?
    /// Whether it hears of each resource with its acknowledgment, since there was too much to be kept before.
    private var hearsOfAllResources = false
    private(set) var isEnded = false
    /// How many notices were sent.
    private(set) var notices = 0
    /// Called when it may be that more can be sent.
    var onRoom: (() -> Void)?

    init(id: [UInt8], to responder: Responder) {
        self.id = id
        self.responder = responder
    }

    /// Whether the client was told what it will hear of.
    var isAcknowledged: Bool { honoured != nil }

    /// Tells the client what it will hear of. Notices that came before are sent after it.
    func acknowledgeFilter(_ filter: SubscriptionFilter) {
        honoured = filter
        dropUnhonoured(filter)
        if hearsOfAllResources { keepAllResources(of: filter) }
        responder.sendMessage(SubscriptionText.acknowledgment(of: filter, id: id))
        sendPending()
    }

    /// Forgets notices of what the client will not hear of. The server may have refused it after it was told to others that listen.
    private func dropUnhonoured(_ filter: SubscriptionFilter) {
        if pending.isEmpty { return }
        var book = SubscriptionBook()
        book.addListener(0, to: filter)
        pending.removeAll { book.subscribers(to: $0).isEmpty }
        isPending = Set(pending)
    }

    /// Sends a notice, or keeps it until the client has taken what was sent before.
    func sendNotice(_ notice: ChangeNotice, _ text: ChangeNoticeText) {
        if isEnded { return }
        guard honoured != nil, !responder.hasUnsent else { return keepNotice(notice) }
        notices += 1
        responder.sendMessage(text.notification(to: id))
    }

    private func keepNotice(_ notice: ChangeNotice) {
        guard isPending.insert(notice).inserted else { return }
        pending.append(notice)
        let listened = honoured?.resources.count ?? 0
        guard case .resourceUpdated = notice, pending.count > listened + Subscription.maxNested else { return }
        // Too many different ones: the client reads again whatever it listens to.
        if let honoured { return keepAllResources(of: honoured) }
        hearsOfAllResources = true
        pending.removeAll(where: \.isOfResource)
        isPending = Set(pending)
    }

    private func keepAllResources(of filter: SubscriptionFilter) {
        pending.removeAll(where: \.isOfResource)
        pending += filter.resources.map { .resourceUpdated($0) }
        isPending = Set(pending)
    }

    /// Sends a message that is not for others. Returns false, and does nothing, before the acknowledgment and while the client has not
    /// taken what was sent before: see ``onRoom``.
    func sendMessage(_ message: SplicedText) -> Bool {
        guard honoured != nil, !isEnded, !responder.hasUnsent else { return false }
        notices += 1
        responder.sendMessage(message)
        return true
    }

    private func sendPending() {
        while let notice = pending.first, !responder.hasUnsent {
            pending.removeFirst()
            isPending.remove(notice)
            notices += 1
            responder.sendMessage(notice.text.notification(to: id))
        }
    }

    /// Returns when the subscription has ended: because the client went away, or by `end`.
    func runSubscription() async {
        while !isEnded {
            await responder.waitForChange()
            if honoured != nil { sendPending() }
            onRoom?()
        }
    }

    /// The subscription ends on this side, and the client is told that it was not lost.
    ///
    /// - Parameter serverInfo: as the server spelled it.
    func endSubscription(serverInfo: [UInt8]) {
        if isEnded { return }
        isEnded = true
        completion = SubscriptionText.completion(id: id, serverInfo: serverInfo)
        responder.wakeWaiters()
    }

    /// The client has gone away.
    func clientLeft() {
        isEnded = true
        responder.wakeWaiters()
    }

    /// The response to the request; `nil` if the client has left.
    var result: [UInt8]? { completion }
}

extension ChangeNotice {
    fileprivate var isOfResource: Bool { if case .resourceUpdated = self { true } else { false } }
}
