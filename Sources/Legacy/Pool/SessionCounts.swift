package import Telemetry

/// What has become of one loop's sessions since the start.
package struct SessionCounts: Sendable {
    /// Sessions there are, those included that the server has lost while calls still use them.
    package var open = 0
    /// Handshakes under way.
    package var opening = 0
    package var opened = 0
    /// Handshakes that gave no session.
    package var failed = 0
    /// Taken from their callers, by why (``SessionEnd/Loss``).
    private var losses = [Int](repeating: 0, count: SessionEnd.Loss.allCases.count)
    /// Being ended on the server, or in line for that.
    package var ending = 0
    /// Closed without a word to the server, which took longer for the ends of others than calls came.
    package var untold = 0
    /// Closed for another's sake.
    package var evicted = 0
    /// Closed after the idle timeout.
    package var expired = 0
    /// From handshake to end.
    package var durations = DurationTable()

    package init() {}

    package func lossCount(_ loss: SessionEnd.Loss) -> Int { losses[loss.rawValue] }

    package mutating func noteLoss(_ loss: SessionEnd.Loss) { losses[loss.rawValue] += 1 }

    /// How many were taken from their callers.
    package var lost: Int { losses.reduce(0, +) }

    /// Adds those of another loop.
    package mutating func addCounts(_ other: SessionCounts) {
        open += other.open
        opening += other.opening
        ending += other.ending
        untold += other.untold
        opened += other.opened
        failed += other.failed
        for loss in SessionEnd.Loss.allCases { losses[loss.rawValue] += other.lossCount(loss) }
        evicted += other.evicted
        expired += other.expired
        durations.addTable(other.durations)
    }
}
