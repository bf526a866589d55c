import Crypto
import Reactor

/// Calls that were asked before they ran, have been sent since, and are forgotten. What their clients carry says that nothing was
/// sent: without this, a retry that comes once more would send them again.
struct SpentCalls {
    /// How many are remembered.
    private static let max = 16_384

    private var ids: Set<CallID> = []
    /// In the order in which they were forgotten, from `start` on.
    private var order: [(id: CallID, until: UnixTime)] = []
    private var start = 0
    /// When one was last dropped before its time.
    private var dropped: UnixTime?

    /// How many are remembered.
    var count: Int { ids.count }

    /// - Parameter until: when nothing can name the call any more.
    mutating func insertCall(_ id: CallID, until: UnixTime, at now: UnixTime) {
        removeExpired(at: now)
        guard ids.insert(id).inserted else { return }
        order.append((id, until))
        guard ids.count > SpentCalls.max else { return }
        dropped = now
        removeFirst()
    }

    func contains(_ id: CallID) -> Bool { ids.contains(id) }

    /// Whether a call may be missing of which its client was told at this time.
    func hasDropped(since asked: UnixTime) -> Bool { dropped.map { asked <= $0 } ?? false }

    private mutating func removeExpired(at now: UnixTime) {
        while start < order.count, order[start].until <= now { removeFirst() }
    }

    private mutating func removeFirst() {
        ids.remove(order[start].id)
        start += 1
        // Now and then, not with each.
        guard start > order.count / 2 else { return }
        order.removeFirst(start)
        start = 0
    }
}
