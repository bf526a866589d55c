import Crypto
import Reactor
import TestSupport
import Testing

@testable import Legacy

/// Who gets a place for a message, and who waits.
@Suite struct SendingBudgetTests {
    @Test func placesGoInTurn() async throws {
        let order = try await withLoop { loop in
            let share = SendingBudget(8).callerShare(of: .none)
            #expect(share.takeRoom() && share.takeRoom())
            #expect(!share.takeRoom(), "a quarter of eight")
            let done = Wakeup()
            var order: [Int] = []
            for number in 0..<3 {
                loop.spawn {
                    if await share.waitForRoom(until: loop.now + .seconds(10), on: loop) { order.append(number) }
                    done.signal()
                }
            }
            await pause(.milliseconds(20), on: loop)
            #expect(order.isEmpty)
            for count in 1...3 {
                share.releaseRoom()
                // What came first has the place: one that comes now has none.
                #expect(!share.takeRoom())
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
            let (one, other) = (budget.callerShare(of: key.hash([1])), budget.callerShare(of: key.hash([2])))
            #expect(one.takeRoom() && one.takeRoom())
            loop.spawn { _ = await one.waitForRoom(until: loop.now + .seconds(10), on: loop) }
            await pause(.milliseconds(20), on: loop)
            #expect(await other.waitForRoom(until: loop.now, on: loop))
            other.releaseRoom()
            #expect(other.takeRoom() && other.takeRoom(), "the place of one caller is not the other's")
            one.releaseRoom()
        }
    }

    @Test func nobodyWaitsLongerThanItIsTold() async throws {
        try await withLoop { loop in
            let share = SendingBudget(4).callerShare(of: .none)
            #expect(share.takeRoom())
            #expect(await !share.waitForRoom(until: loop.now + .milliseconds(20), on: loop))
            share.releaseRoom()
            #expect(share.takeRoom(), "a place is not kept for one that has given up")
        }
    }
}
