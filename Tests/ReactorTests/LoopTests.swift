import TestSupport
import Testing

@testable import Reactor

@Suite(.timeLimit(.minutes(1))) struct LoopTests {
    /// The thread that makes a loop may not be taken for its thread once it has one of its own.
    @Test func jobsThatArePostedWhileTheThreadStartsRun() async {
        for _ in 0..<300 {
            let loop = Loop()
            loop.runOnNewThread()
            await withCheckedContinuation { continuation in
                loop.post {
                    loop.stop()
                    continuation.resume()
                }
            }
            loop.join()
        }
    }

    @Test func jobsThatArePostedBeforeItRunsRun() async {
        let loop = Loop()
        await withCheckedContinuation { continuation in
            loop.post {
                loop.stop()
                continuation.resume()
            }
            loop.runOnNewThread()
        }
        loop.join()
    }

    @Test func jobsOfManyThreadsAllRunOnTheLoop() async throws {
        let isRight = try await withLoop { loop in
            let onLoop = await withTaskGroup { group in
                for _ in 0..<8 {
                    group.addTask(executorPreference: globalConcurrentExecutor) { await countJobs(500, on: loop) }
                }
                return await group.reduce(0, +)
            }
            return onLoop == 4000 && loop.isOnLoop
        }
        #expect(isRight)

        /// How many of the jobs ran where they should.
        @Sendable func countJobs(_ count: Int, on loop: Loop) async -> Int {
            var onLoop = 0
            for _ in 0..<count {
                let isOnLoop = await withCheckedContinuation { continuation in
                    loop.post { continuation.resume(returning: loop.isOnLoop) }
                }
                if isOnLoop { onLoop += 1 }
            }
            return onLoop
        }
    }

    private actor Counter {
        nonisolated let loop: Loop
        private var count = 0

        nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

        init(on loop: Loop) { self.loop = loop }

        func add() -> Int {
            count += 1
            return count
        }

        func isOnLoop() -> Bool { loop.isOnLoop }
    }

    @Test func anActorLivesOnTheLoop() async throws {
        let loop = Loop()
        loop.runOnNewThread()
        let counter = Counter(on: loop)
        #expect(await counter.isOnLoop())
        await withTaskGroup { group in
            for _ in 0..<8 { group.addTask { for _ in 0..<200 { _ = await counter.add() } } }
        }
        #expect(await counter.add() == 1601)
        loop.post {
            // From the loop, the actor's isolation is known without a hop.
            look(at: counter)
            loop.stop()
        }
        loop.join()
        #expect(loop.isIsolatingCurrentContext() == false)

        @Sendable func look(at counter: Counter) {
            counter.assumeIsolated { #expect($0.loop.isIsolatingCurrentContext() == true) }
        }
    }

    @Test func spawnedTasksRunInOrderAfterTheirStarter() async throws {
        let order = try await withLoop { loop in
            let gate = Gate()
            final class Order { var steps: [Int] = [] }
            let order = Order()
            for step in 1...3 {
                loop.spawn {
                    order.steps.append(step)
                    gate.open()
                }
            }
            order.steps.append(0)
            try await eventually("three tasks", on: loop, gate) { order.steps.count == 4 }
            return order.steps
        }
        #expect(order == [0, 1, 2, 3])
    }

    @Test func aGateResumesAllAndAWakeupOne() async throws {
        try await withLoop { loop in
            final class Count { var value = 0 }
            let count = Count()
            let gate = Gate()
            let done = Gate()
            for _ in 0..<5 {
                loop.spawn {
                    await gate.wait()
                    count.value += 1
                    done.open()
                }
            }
            await pause(.milliseconds(1), on: loop)
            #expect(count.value == 0)
            gate.open()
            try await eventually("five", on: loop, done) { count.value == 5 }
            // Neither remembers: who waits after the signal waits for the next.
            let wakeup = Wakeup()
            wakeup.signal()
            loop.spawn {
                await wakeup.wait()
                count.value += 1
                done.open()
            }
            await pause(.milliseconds(1), on: loop)
            #expect(count.value == 5)
            wakeup.signal()
            try await eventually("the wakeup", on: loop, done) { count.value == 6 }
        }
    }
}
