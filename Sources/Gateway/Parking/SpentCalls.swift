import Crypto
import Reactor

/// Calls that were asked before they ran, have been sent since, and are forgotten. What their clients carry says that nothing was
/// sent: without this, a retry that comes once more would send them again.
struct SpentCalls {
    /// How many are remembered.
    private static let max = 16_384

    /// In the order in which they were forgotten.
    private var order = Line<CallID>()
    /// When nothing can name each of them any more.
    private var ends: [CallID: UnixTime] = [:]
    /// When one was last dropped before its time.
    private var dropped: UnixTime?

    /// How many are remembered.
    var count: Int { order.count }

    /// - Parameter end: when nothing can name the call any more.
    mutating func insertCall(_ id: CallID, until end: UnixTime, at now: UnixTime) {
        removeExpired(at: now)
        guard !contains(id) else { return }
        order.append(id)
        ends[id] = end
        guard count > SpentCalls.max, let first = order.first else { return }
        dropped = now
        removeCall(first)
    }

    func contains(_ id: CallID) -> Bool { order.contains(id) }

    /// Whether a call may be missing of which its client was told at this time.
    func hasDropped(since asked: UnixTime) -> Bool { dropped.map { asked <= $0 } ?? false }

    private mutating func removeExpired(at now: UnixTime) {
        while let first = order.first, let end = ends[first], end <= now { removeCall(first) }
    }

    private mutating func removeCall(_ id: CallID) {
        order.remove(id)
        ends[id] = nil
    }
}
