import Translation

/// What has become of the tasks of one loop.
package struct TaskCounts: Sendable {
    /// Tasks now that go on.
    package var running = 0
    /// Tasks now that have ended, and whose outcomes are kept.
    package var kept = 0
    /// Tasks that servers made.
    package var made = 0
    /// Calls that became tasks because they lasted.
    package var promoted = 0
    /// Ends, by what clients read of them.
    package private(set) var completed = 0
    package private(set) var failed = 0
    package private(set) var cancelled = 0
    /// Calls that became no task because there was no place.
    package var full = 0

    package init() {}

    mutating func noteEnd(_ outcome: TaskOutcome) {
        switch outcome {
        case .completed: completed += 1
        case .failed: failed += 1
        case .cancelled: cancelled += 1
        }
    }

    /// Adds those of another loop.
    package mutating func addCounts(_ other: TaskCounts) {
        running += other.running
        kept += other.kept
        made += other.made
        promoted += other.promoted
        completed += other.completed
        failed += other.failed
        cancelled += other.cancelled
        full += other.full
    }
}
