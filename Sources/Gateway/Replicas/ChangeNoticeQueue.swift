import Translation

/// Change notices that wait to be sent, each of them once.
struct ChangeNoticeQueue {
    private var waiting: Set<PeerChangeNotice> = []
    private var order: [PeerChangeNotice] = []

    var isEmpty: Bool { order.isEmpty }

    /// Adds a notice, or drops it where one batch could not hold it. The effect of a lost notice is a list that stays
    /// old until its time to live ends.
    mutating func addNotice(_ notice: PeerChangeNotice) {
        if case .resourceUpdated(let uri) = notice.notice, uri.count > ChangeNoticeBatch.maxURI { return }
        guard order.count < ChangeNoticeBatch.max, waiting.insert(notice).inserted else { return }
        order.append(notice)
    }

    mutating func takeBatch() -> [PeerChangeNotice] {
        defer { self = ChangeNoticeQueue() }
        return order
    }
}
