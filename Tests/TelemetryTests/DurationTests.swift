import Testing

@testable import Telemetry

@Suite struct DurationTests {
    private static let millisecond = 1_000_000

    @Test func aDurationFallsIntoTheFirstBucketThatHoldsIt() {
        for (place, bound) in DurationTable.bounds.enumerated() {
            var table = DurationTable()
            table.recordDuration(nanoseconds: bound)
            #expect(table.histogram().counts[place] == 1, "a bound belongs to its bucket")
            table.recordDuration(nanoseconds: bound + 1)
            #expect(table.histogram().counts[place + 1] == 1)
            #expect(table.histogram().nanoseconds == 2 * bound + 1)
        }
    }

    @Test func boundsGrow() {
        #expect(zip(DurationTable.bounds, DurationTable.bounds.dropFirst()).allSatisfy { $0 < $1 })
    }

    @Test(arguments: [0, -5]) func whatIsNoTimeAtAllIsInTheFirstBucket(nanoseconds: Int) {
        var table = DurationTable()
        table.recordDuration(nanoseconds: nanoseconds)
        #expect(table.histogram().counts[0] == 1)
    }

    @Test func seriesOfATableDoNotMix() {
        var table = DurationTable(rows: 3, columns: 4)
        for row in 0..<3 {
            for column in 0..<4 {
                for _ in 0...row * 4 + column { table.recordDuration(nanoseconds: 1, row: row, column: column) }
            }
        }
        for row in 0..<3 {
            for column in 0..<4 { #expect(table.histogram(row: row, column: column).count == row * 4 + column + 1) }
        }
        #expect(table.totalHistogram().count == (1...12).reduce(0, +))
    }

    @Test func tablesOfTwoLoopsAdd() {
        var first = DurationTable(rows: 2)
        var second = DurationTable(rows: 2)
        first.recordDuration(nanoseconds: Self.millisecond, row: 0)
        second.recordDuration(nanoseconds: 3 * Self.millisecond, row: 0)
        second.recordDuration(nanoseconds: Self.millisecond, row: 1)
        first.addTable(second)
        #expect(first.histogram(row: 0).count == 2)
        #expect(first.histogram(row: 0).nanoseconds == 4 * Self.millisecond)
        #expect(first.histogram(row: 1).count == 1)
        #expect(second.histogram(row: 0).count == 1, "what was added stays as it was")
    }

    @Test func aShareIsTheBoundOfItsBucket() {
        var table = DurationTable()
        #expect(table.histogram().quantile(0.5) == nil)
        for _ in 0..<90 { table.recordDuration(nanoseconds: 700_000) }
        for _ in 0..<9 { table.recordDuration(nanoseconds: 15 * Self.millisecond) }
        table.recordDuration(nanoseconds: 301_000 * Self.millisecond)
        let histogram = table.histogram()
        #expect(histogram.quantile(0.5) == .atMost(Self.millisecond))
        #expect(histogram.quantile(0.9) == .atMost(Self.millisecond))
        #expect(histogram.quantile(0.91) == .atMost(20 * Self.millisecond))
        #expect(histogram.quantile(0.99) == .atMost(20 * Self.millisecond))
        #expect(histogram.quantile(1) == .beyond(300_000 * Self.millisecond))
    }

    @Test func whatCameSinceIsTheDifference() {
        var table = DurationTable()
        table.recordDuration(nanoseconds: 1)
        let earlier = table.histogram()
        table.recordDuration(nanoseconds: 5 * Self.millisecond)
        let since = table.histogram().since(earlier)
        #expect(since.count == 1)
        #expect(since.nanoseconds == 5 * Self.millisecond)
    }

    /// Ten thousand listeners take eleven days for that.
    @Test func aSumThatIsFullBeginsAnewAsACounterDoes() {
        var table = DurationTable(rows: 2)
        table.recordDuration(nanoseconds: .max, row: 0)
        let earlier = table.histogram(row: 0)
        table.recordDuration(nanoseconds: 10, row: 0)
        #expect(table.histogram(row: 0).nanoseconds == 9, "one more than the largest is zero")
        #expect(table.histogram(row: 0).count == 2)
        #expect(table.histogram(row: 0).since(earlier).nanoseconds == 10)

        table.recordDuration(nanoseconds: .max, row: 1)
        #expect(table.totalHistogram().nanoseconds == 8)
        var loops = table
        loops.addTable(table)
        #expect(loops.histogram(row: 1).nanoseconds == .max - 1)
        #expect(loops.totalHistogram().nanoseconds == 16)
        #expect(loops.totalHistogram().count == 6)
    }
}
