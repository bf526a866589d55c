package import Reactor

/// Which copy of a server the next session is opened on: the healthy one with the fewest. It has neither clock nor socket.
///
/// A copy that fails is put aside. After a pause, which grows with each failure in a row, it is to be tried; until that has
/// gone well, it is chosen only where there is no other.
package struct BackendChoice {
    /// A copy's place in the configuration.
    package typealias Index = Int

    /// The pause after the first failure, doubled by each in a row. New sessions go elsewhere at once, so a copy that is
    /// restarted may come back soon, and one that stays away is not asked all the time.
    package static let pauses: ClosedRange<Duration> = .milliseconds(500) ... .seconds(30)

    private struct Copy {
        /// Sessions, and whatever else is under way there for a while.
        var load = 0
        /// Failures since a session was opened.
        var failures = 0
        /// When it is to be tried; nil: it is in use.
        var retry: Instant?
        var isTried = false
        /// It can be reached, and gave no session.
        var isRefusing = false
    }

    private var copies: [Copy]
    /// Where the search begins: among equals, each has its turn.
    private var turn: Index

    /// - Parameters:
    ///   - count: at least one.
    ///   - first: which is chosen first, so that not all loops begin with the same.
    package init(count: Int, first: Index = 0) {
        // The configuration has at least one, whatever peers do.
        precondition(count > 0, "a server without a copy")
        copies = Array(repeating: Copy(), count: count)
        turn = first % count
    }

    /// What is known of a copy that another choice has had, but for what is under way there.
    mutating func copyState(_ index: Index, from other: BackendChoice, _ otherIndex: Index) {
        copies[index] = other.copies[otherIndex]
        copies[index].load = 0
        // The attempt tells the other choice how it ended.
        copies[index].isTried = false
    }

    /// The copy for the next session; nil when all were excluded. Where none is healthy, it is the one that is to be tried
    /// first.
    ///
    /// - Parameter excluded: those that were tried already for this session.
    package mutating func nextCopy(except excluded: Set<Index> = []) -> Index? {
        let order = copies.indices.map { (turn + $0) % copies.count }.filter { !excluded.contains($0) }
        let healthy = order.filter { copies[$0].retry == nil }
        // `min` gives the first of several equals.
        let found =
            healthy.min { copies[$0].load < copies[$1].load } ?? order.min { retryTime(of: $0) < retryTime(of: $1) }
        if let found { turn = (found + 1) % copies.count }
        return found
    }

    private func retryTime(of index: Index) -> Instant { copies[index].retry ?? Instant(nanoseconds: .min) }

    /// Something begins there that lasts. Followed by one `removeLoad`.
    package mutating func addLoad(_ index: Index) { copies[index].load += 1 }

    package mutating func removeLoad(_ index: Index) {
        // One too many would only make a copy less wanted than it is.
        copies[index].load = max(0, copies[index].load - 1)
    }

    package func copyLoad(of index: Index) -> Int { copies[index].load }

    /// It could not be reached, or gave no session. Whatever else fails while it is aside says nothing new.
    ///
    /// - Parameter isReached: whether it could be reached. Only a session speaks against that, and not another connection.
    package mutating func noteFailure(_ index: Index, isReached: Bool = false, at now: Instant) {
        guard copies[index].retry == nil || copies[index].isTried else { return }
        copies[index].isRefusing = isReached
        let pauses = BackendChoice.pauses
        let doublings = min(copies[index].failures, 10)
        copies[index].failures += 1
        copies[index].isTried = false
        copies[index].retry = now + min(pauses.lowerBound * (1 << doublings), pauses.upperBound)
    }

    /// A connection was made. That the failures are forgotten takes a session.
    package mutating func noteConnection(_ index: Index) {
        if copies[index].isRefusing, !copies[index].isTried { return }
        copies[index].retry = nil
        copies[index].isTried = false
    }

    /// It gave a session.
    package mutating func noteSession(_ index: Index) {
        copies[index].isRefusing = false
        copies[index].failures = 0
        noteConnection(index)
    }

    package func isAside(_ index: Index) -> Bool { copies[index].retry != nil }

    /// Whether there is another that is healthy.
    package func hasAlternative(to index: Index) -> Bool {
        copies.indices.contains { $0 != index && copies[$0].retry == nil }
    }

    /// Takes out the copies that are to be tried now: each is followed by `noteConnection` or `noteFailure`.
    package mutating func toTry(at now: Instant) -> [Index] {
        let due = copies.indices.filter { index in
            !copies[index].isTried && copies[index].retry.map { $0 <= now } == true
        }
        for index in due { copies[index].isTried = true }
        return due
    }

    /// When `toTry` has something to give; nil when nothing is aside.
    package var nextTrial: Instant? { copies.filter { !$0.isTried }.compactMap(\.retry).min() }
}
