import Reactor
import Synchronization

/// What the log was told of the copies of a server, by all loops together: each change is told once.
package final class BackendNotices: Sendable {
    /// From one change of a copy until it may be told that it is down. One that takes every other connection must not fill the log;
    /// what stays away is tried again, and told then.
    private static let rest: Duration = .seconds(1)

    private struct Copy {
        var isDown = false
        var since: Instant?
    }

    private let copies = Mutex<[String: Copy]>([:])

    package init() {}

    /// What is to be told of a copy.
    enum News: Equatable {
        case down
        /// After having been down for this long.
        case up(Duration)
    }

    /// A loop has found this out. Returns what the log is to be told, if anything.
    ///
    /// - Parameter label: of the copy. There are as many as there are backends in all configurations so far.
    func noteFinding(_ label: String, isDown: Bool, at now: Instant) -> News? {
        copies.withLock { copies in
            let known = copies[label] ?? Copy()
            guard known.isDown != isDown else { return nil }
            if isDown, let since = known.since, now - since < BackendNotices.rest { return nil }
            copies[label] = Copy(isDown: isDown, since: now)
            return isDown ? .down : .up(known.since.map { now - $0 } ?? .zero)
        }
    }
}
