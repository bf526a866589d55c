import TestSupport
import Testing

@testable import Reactor

@Suite(.timeLimit(.minutes(1))) struct DeadlineTests {
    /// A deadline, and when it has passed.
    private final class Probe {
        let start = Instant.now
        let deadline: Deadline
        let wakeup = Wakeup()
        var expiries: [Duration] = []

        init(on loop: Loop) {
            deadline = Deadline(on: loop)
            deadline.onExpiry = { [unowned self] in
                expiries.append(.now - start)
                wakeup.signal()
            }
        }

        func set(_ delay: Duration?) { deadline.set(delay.map { start + $0 }) }
    }

    @Test(
        arguments: [
            ([.milliseconds(20)], .milliseconds(20)),
            // Later, earlier, later and then earlier again.
            ([.milliseconds(10), .milliseconds(60)], .milliseconds(60)),
            ([.seconds(3600), .milliseconds(20)], .milliseconds(20)),
            ([.milliseconds(10), .seconds(3600), .milliseconds(30)], .milliseconds(30)),
            ([.milliseconds(20), nil, .milliseconds(40)], .milliseconds(40)),
            ([.zero], .zero), ([.milliseconds(-500)], .zero),
        ] as [([Duration?], Duration)])
    func expiresOnceAtTheLastTimeSet(delays: [Duration?], expected: Duration) async throws {
        let expiries = try await withLoop { loop in
            let probe = Probe(on: loop)
            for delay in delays { probe.set(delay) }
            #expect(probe.deadline.isSet)
            try await eventually("expiry", on: loop, probe.wakeup) { !probe.expiries.isEmpty }
            #expect(!probe.deadline.isSet)
            await pause(.milliseconds(30), on: loop)
            return probe.expiries
        }
        #expect(expiries.count == 1)
        #expect(expiries.first.map { $0 >= expected } == true, "too early: \(expiries)")
        #expect(expiries.first.map { $0 < expected + .seconds(5) } == true, "too late: \(expiries)")
    }

    @Test func aDeadlineThatIsClearedOrGoneDoesNotExpire() async throws {
        try await withLoop { loop in
            let probe = Probe(on: loop)
            probe.set(.milliseconds(5))
            probe.set(nil)
            #expect(!probe.deadline.isSet)
            var gone: Deadline? = Deadline(on: loop)
            gone?.onExpiry = { Issue.record("expired after its end") }
            gone?.set(after: .milliseconds(5))
            gone = nil
            await pause(.milliseconds(40), on: loop)
            #expect(probe.expiries.isEmpty)
        }
    }

    @Test func itCanBeSetAgainInItsCallbackAndDropped() async throws {
        try await withLoop { loop in
            let wakeup = Wakeup()
            var count = 0
            var deadline: Deadline? = Deadline(on: loop)
            deadline?.onExpiry = {
                count += 1
                if count < 3 { deadline?.set(after: .milliseconds(1)) } else { deadline = nil }
                wakeup.signal()
            }
            deadline?.set(after: .milliseconds(1))
            try await eventually("three times", on: loop, wakeup) { count == 3 }
            #expect(deadline == nil)
        }
    }

    @Test func eachOfManyExpiresOnceAndNotTooEarly() async throws {
        let expired = try await withLoop { loop in
            let wakeup = Wakeup()
            var expired: [Int] = []
            let start = Instant.now
            let deadlines = (0..<50).map { number in
                let deadline = Deadline(on: loop)
                deadline.onExpiry = {
                    #expect(.now - start >= .milliseconds(number))
                    expired.append(number)
                    wakeup.signal()
                }
                return deadline
            }
            for number in deadlines.indices.shuffled() { deadlines[number].set(start + .milliseconds(number)) }
            try await eventually("fifty", on: loop, wakeup) { expired.count == 50 }
            return expired
        }
        #expect(expired.sorted() == Array(0..<50))
    }
}
