/// Durations in buckets, one histogram for each row and column: what a loop counts its calls in.
///
/// A plain value. Each loop has its own and adds to it without a lock; who wants to read it gets a copy.
package struct DurationTable: Sendable, Equatable {
    /// Upper bounds of the buckets, in nanoseconds. From 10 ms on they are what OpenTelemetry recommends for
    /// `mcp.server.operation.duration`; those below are for a proxy whose own part is less than that.
    package static let bounds: [Int] = [
        1_000_000, 2_000_000, 5_000_000, 10_000_000, 20_000_000, 50_000_000, 100_000_000, 200_000_000, 500_000_000,
        1_000_000_000, 2_000_000_000, 5_000_000_000, 10_000_000_000, 30_000_000_000, 60_000_000_000, 120_000_000_000,
        300_000_000_000,
    ]
    /// Of its own: a look at a static one is a call.
    private let bounds = DurationTable.bounds
    /// A bucket for each bound, one for what is longer, and the sum. 2^63 ns are 292 years, which ten thousand listeners have
    /// together within eleven days: a sum begins anew at zero then, as counters do that are reset.
    private let stride = DurationTable.bounds.count + 2
    private let columns: Int
    private var cells: [Int]

    package init(rows: Int = 1, columns: Int = 1) {
        self.columns = columns
        cells = Array(repeating: 0, count: rows * columns * stride)
    }

    /// Counts one duration; it costs a few additions.
    package mutating func recordDuration(nanoseconds: Int, row: Int = 0, column: Int = 0) {
        let first = (row * columns + column) * stride
        var bucket = 0
        while bucket < bounds.count, nanoseconds > bounds[bucket] { bucket += 1 }
        cells[first + bucket] += 1
        cells[first + bounds.count + 1].addAnew(nanoseconds)
    }

    /// Adds what another loop has counted in a table of the same size.
    package mutating func addTable(_ other: DurationTable) {
        // Rows and columns are cases of enumerations: no peer changes them.
        precondition(cells.count == other.cells.count, "two tables of durations differ in size")
        for index in cells.indices { cells[index].addAnew(other.cells[index]) }
    }

    package func histogram(row: Int = 0, column: Int = 0) -> DurationHistogram {
        let first = (row * columns + column) * stride
        return DurationHistogram(
            counts: Array(cells[first...first + bounds.count]),
            nanoseconds: cells[first + bounds.count + 1])
    }

    /// Everything as one histogram, but for a row.
    package func totalHistogram(without row: Int? = nil) -> DurationHistogram {
        var sum = DurationHistogram()
        for series in 0..<cells.count / stride where series / columns != row {
            sum.addHistogram(histogram(row: series / columns, column: series % columns))
        }
        return sum
    }
}

extension Int {
    /// Adds a number to one that is not negative. After the largest comes zero.
    mutating func addAnew(_ other: Int) { self = (self &+ other) & .max }
}
