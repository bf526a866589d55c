/// How many durations fell into each bucket of `DurationTable.bounds`.
package struct DurationHistogram: Sendable, Equatable {
    /// A number for each bound, and one for what is longer than all of them. Not cumulative.
    package private(set) var counts: [Int]
    package private(set) var nanoseconds: Int

    package init() { self.init(counts: Array(repeating: 0, count: DurationTable.bounds.count + 1), nanoseconds: 0) }

    init(counts: [Int], nanoseconds: Int) {
        self.counts = counts
        self.nanoseconds = nanoseconds
    }

    package var count: Int { counts.reduce(0, +) }

    mutating func addHistogram(_ other: DurationHistogram) {
        for index in counts.indices { counts[index] += other.counts[index] }
        nanoseconds.addAnew(other.nanoseconds)
    }

    /// What was counted since `earlier`, which is a copy of the same histogram.
    package func since(_ earlier: DurationHistogram) -> DurationHistogram {
        DurationHistogram(
            counts: zip(counts, earlier.counts).map { $0 - $1 },
            // Right as well where the sum has begun anew since.
            nanoseconds: (nanoseconds &- earlier.nanoseconds) & .max)
    }

    /// What a share of the durations did not exceed: the upper bound of the bucket, in nanoseconds, because no more is known.
    package enum Quantile: Sendable, Equatable {
        case atMost(Int)
        /// Longer than the last bound.
        case beyond(Int)
    }

    /// - Parameter share: above 0 and at most 1.
    /// - Returns: nil when nothing was counted.
    package func quantile(_ share: Double) -> Quantile? {
        let count = count
        guard count > 0, let last = DurationTable.bounds.last else { return nil }
        let rank = max(1, Int((Double(count) * share).rounded(.up)))
        var seen = 0
        for (bound, number) in zip(DurationTable.bounds, counts) {
            seen += number
            if seen >= rank { return .atMost(bound) }
        }
        return .beyond(last)
    }
}
