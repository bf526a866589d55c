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
                    loop.stopLoop()
                    continuation.resume()
                }
            }
            loop.joinThread()
        }
    }

    @Test func jobsThatArePostedBeforeItRunsRun() async {
        let loop = Loop()
        await withCheckedContinuation { continuation in
            loop.post {
                loop.stopLoop()
                continuation.resume()
            }
            loop.runOnNewThread()
        }
        loop.joinThread()
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
            loop.stopLoop()
        }
        loop.joinThread()
        #expect(loop.isIsolatingCurrentContext() == false)

        @Sendable func look(at counter: Counter) {
            counter.assumeIsolated { #expect($0.loop.isIsolatingCurrentContext() == true) }
        }
    }

    @Test func spawnedTasksRunInOrderAfterTheirStarter() async throws {
        let order = try await withLoop { loop in
            let wakeup = Wakeup()
            final class Order { var steps: [Int] = [] }
            let order = Order()
            for step in 1...3 {
                loop.spawn {
                    order.steps.append(step)
                    wakeup.signal()
                }
            }
            order.steps.append(0)
            try await eventually("three tasks", on: loop, wakeup) { order.steps.count == 4 }
            return order.steps
        }
        #expect(order == [0, 1, 2, 3])
    }

    @Test func aWakeupResumesAllInTheirOrderAndRemembersNothing() async throws {
        try await withLoop { loop in
            final class Order { var numbers: [Int] = [] }
            let order = Order()
            let wakeup = Wakeup()
            let done = Wakeup()
            // Who waits after the signal waits for the next.
            wakeup.signal()
            for number in 1...5 {
                loop.spawn {
                    await wakeup.wait()
                    order.numbers.append(number)
                    done.signal()
                }
            }
            await pause(.milliseconds(1), on: loop)
            #expect(order.numbers == [])
            wakeup.signal()
            try await eventually("five", on: loop, done) { order.numbers.count == 5 }
            #expect(order.numbers == [1, 2, 3, 4, 5])
        }
    }
}
