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
    /// The server had lost them, or a cancellation broke them.
    package var lost = 0
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

    /// Adds those of another loop.
    package mutating func add(_ other: SessionCounts) {
        open += other.open
        opening += other.opening
        ending += other.ending
        untold += other.untold
        opened += other.opened
        failed += other.failed
        lost += other.lost
        evicted += other.evicted
        expired += other.expired
        durations.add(other.durations)
    }
}
