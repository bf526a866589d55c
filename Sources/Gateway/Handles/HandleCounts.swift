/// What has become of the handles of one loop.
package struct HandleCounts: Sendable {
    /// Why the session of a handle has ended.
    package enum End: Int, CaseIterable, Sendable {
        /// Its client has closed it.
        case closed
        /// No call came for `sessions.handle_idle_timeout`.
        case idle
        /// It was open for `sessions.handle_max_age`.
        case age
        /// The server has lost it, or it was broken.
        case lost
        /// Another configuration has its server no longer, or no handles.
        case reload

        package var label: String { "\(self)" }
    }

    /// Handles now.
    package var open = 0
    package var opened = 0
    /// Those that were not opened because their caller had enough.
    package var refused = 0
    private var ends = [Int](repeating: 0, count: End.allCases.count)

    package init() {}

    package func endCount(_ end: End) -> Int { ends[end.rawValue] }

    mutating func noteEnd(_ end: End) { ends[end.rawValue] += 1 }

    /// Adds those of another loop.
    package mutating func addCounts(_ other: HandleCounts) {
        open += other.open
        opened += other.opened
        refused += other.refused
        for end in End.allCases { ends[end.rawValue] += other.endCount(end) }
    }
}
