import Crypto
import Reactor
import TestSupport
import Testing

@testable import Legacy

/// Who gets a place for a message, and who waits.
@Suite struct SendingBudgetTests {
    @Test func placesGoInTurn() async throws {
        let order = try await withLoop { loop in
            let share = SendingBudget(8).share(of: .none)
            #expect(share.take() && share.take())
            #expect(!share.take(), "a quarter of eight")
            let done = Wakeup()
            var order: [Int] = []
            for number in 0..<3 {
                loop.spawn {
                    if await share.take(until: loop.now + .seconds(10), on: loop) { order.append(number) }
                    done.signal()
                }
            }
            await pause(.milliseconds(20), on: loop)
            #expect(order.isEmpty)
            for count in 1...3 {
                share.giveBack()
                // What came first has the place: one that comes now has none.
                #expect(!share.take())
                try await eventually("a place", on: loop, done) { order.count == count }
            }
            return order
        }
        #expect(order == [0, 1, 2])
    }

    @Test func whoWaitsHoldsUpNoOtherCaller() async throws {
        try await withLoop { loop in
            let budget = SendingBudget(8)
            let key = HashKey()
            let (one, other) = (budget.share(of: key.hash([1])), budget.share(of: key.hash([2])))
            #expect(one.take() && one.take())
            loop.spawn { _ = await one.take(until: loop.now + .seconds(10), on: loop) }
            await pause(.milliseconds(20), on: loop)
            #expect(await other.take(until: loop.now, on: loop))
            other.giveBack()
            #expect(other.take() && other.take(), "the place of one caller is not the other's")
            one.giveBack()
        }
    }

    @Test func nobodyWaitsLongerThanItIsTold() async throws {
        try await withLoop { loop in
            let share = SendingBudget(4).share(of: .none)
            #expect(share.take())
            #expect(await !share.take(until: loop.now + .milliseconds(20), on: loop))
            share.giveBack()
            #expect(share.take(), "a place is not kept for one that has given up")
        }
    }
}
