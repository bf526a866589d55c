import TestSupport
import Testing

@testable import Reactor

@Suite(.timeLimit(.minutes(1))) struct WakeupTests {
    /// Between the look at a condition and the wait, no other job may run: its signal would be lost.
    @Test func nothingRunsBeforeAWaiterWaits() async throws {
        let order = try await withLoop { loop in
            final class Log { var steps: [String] = [] }
            let log = Log()
            let done = Wakeup()
            let wakeup = Wakeup()
            loop.spawn {
                loop.spawn {
                    log.steps.append("signal")
                    wakeup.signal()
                }
                log.steps.append("wait")
                await wakeup.wait()
                log.steps.append("resumed")
                done.signal()
            }
            try? await eventually("its end", on: loop, done, within: .seconds(2)) { log.steps.count == 3 }
            return log.steps
        }
        #expect(order == ["wait", "signal", "resumed"])
    }
}
