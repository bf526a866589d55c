import Crypto
import Reactor

/// How many messages that are no requests (answers to questions, notifications) may be on their way to the servers of one loop.
///
/// Over HTTP each has a connection until the server has taken it, and a server may take none for as long as it likes. So there is
/// a limit for all, a quarter of it for one caller, and one for each session (``LegacySession``): a session that meets it loses a
/// call, and all others keep their connections.
///
/// A message that an older client waits for may wait for a place (``ClientChannel``).
final class SendingBudget {
    private var limit: Int
    private var underWay = 0
    /// What waits for a place, in the order in which it came.
    private var waiters: [Waiter] = []

    private final class Waiter {
        let share: Share
        let wakeup = Wakeup()
        var hasPlace = false

        init(of share: Share) { self.share = share }
    }

    /// - Parameter limit: of messages of all callers.
    init(_ limit: Int) { self.limit = limit }

    /// Another limit holds from now on.
    func setLimit(_ limit: Int) { self.limit = limit }

    /// What a session of this caller may have of it. All sessions of a caller have it together for as long as one of them is
    /// there.
    func callerShare(of owner: KeyedHash) -> Share {
        if let share = shares[owner]?.share { return share }
        // Callers come and go: who has no session any more is forgotten before the table grows.
        if shares.count >= 2 * sharesAtLastLook {
            shares = shares.filter { $0.value.share != nil }
            sharesAtLastLook = max(SendingBudget.fewShares, shares.count)
        }
        let share = Share(of: self)
        shares[owner] = WeakShare(share: share)
        return share
    }

    /// Messages that can wait leave a quarter of the places to those that cannot: answers to questions, and cancellations.
    private var hasRoomForWaiters: Bool { underWay < max(1, limit - limit / 4) }

    /// Gives a place that has become free to the first that may have it.
    private func serveNext() {
        guard hasRoomForWaiters, let next = waiters.firstIndex(where: { $0.share.takeRoom() }) else { return }
        let waiter = waiters.remove(at: next)
        waiter.hasPlace = true
        waiter.wakeup.signal()
    }

    private static let fewShares = 64
    private struct WeakShare {
        weak var share: Share?
    }
    private var shares: [KeyedHash: WeakShare] = [:]
    private var sharesAtLastLook = SendingBudget.fewShares

    /// The part of one caller.
    final class Share {
        private let budget: SendingBudget
        private var underWay = 0
        private var waiting = 0
        /// A waiter has a connection of its client already, and no more.
        private static let maxWaiting = 1024

        fileprivate init(of budget: SendingBudget) { self.budget = budget }

        /// Room for one more; false where there is none. To be followed by one ``releaseRoom()``.
        func takeRoom() -> Bool {
            guard budget.underWay < budget.limit, underWay < max(1, budget.limit / 4) else { return false }
            budget.underWay += 1
            underWay += 1
            return true
        }

        /// Waits for room for one more, in turn and not beyond `end`; false where there is none by then, or where too many wait.
        func waitForRoom(until end: Instant, on loop: Loop) async -> Bool {
            if budget.hasRoomForWaiters, takeRoom() { return true }
            guard waiting < Share.maxWaiting else { return false }
            let waiter = Waiter(of: self)
            budget.waiters.append(waiter)
            waiting += 1
            await waiter.wakeup.wait(while: { !waiter.hasPlace }, until: end, on: loop)
            waiting -= 1
            if !waiter.hasPlace { budget.waiters.removeAll { $0 === waiter } }
            return waiter.hasPlace
        }

        func releaseRoom() {
            budget.underWay -= 1
            underWay -= 1
            budget.serveNext()
        }
    }
}
