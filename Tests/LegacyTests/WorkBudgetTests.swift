import Reactor
import Testing

@testable import Legacy

/// What may be taken in one turn of a loop.
@Suite struct WorkBudgetTests {
    private static let (first, second) = (Instant(nanoseconds: 1), Instant(nanoseconds: 2))

    /// How many messages of a size may be taken in a turn.
    private static func count(in turn: Instant, of budget: inout WorkBudget, _ bytes: Int?) -> Int {
        var count = 0
        while count < 1000, budget.allowsMore(at: turn) {
            if let bytes { budget.spendMessage(bytes) } else { budget.spendMessage() }
            count += 1
        }
        return count
    }

    @Test func eachTurnHasItsOwn() {
        var budget = WorkBudget()
        #expect(Self.count(in: Self.first, of: &budget, nil) == 64)
        #expect(Self.count(in: Self.first, of: &budget, nil) == 0)
        #expect(Self.count(in: Self.second, of: &budget, 1) == 64)
    }

    @Test(arguments: [(1 << 16, 1), (1 << 15, 2), (Int.max, 1), (0, 64)])
    func bytesCount(size: Int, count: Int) {
        var budget = WorkBudget()
        #expect(Self.count(in: Self.first, of: &budget, size) == count)
    }
}
