import Reactor
import TestSupport
import Testing

@testable import Legacy

/// A pool with fake servers when its configuration changes, and at its end.
@Suite struct SessionPoolReloadTests {
    /// Has the pool use other servers.
    private func reload(_ bench: PoolBench, _ servers: [FakeServer], _ limits: SessionPool.Limits = PoolBench.limits())
    {
        bench.pool.applySettings(Backends(of: servers, after: bench.pool.backends), limits: limits)
    }

    @Test func sessionsOfTheSameServerGoOn() async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop)
            let (used, idle) = (try await bench.lease(1), try await bench.lease(2))
            bench.release(idle)
            reload(bench, bench.servers)
            #expect(bench.pool.count == 2 && bench.ended == 0)
            #expect(try await bench.lease(1).session === used.session)
            #expect(bench.pool.backends.counts.map(\.load) == [2])
            bench.checkNoMistakes()
        }
    }

    @Test func sessionsOfAnotherServerEndAfterTheirLastCall() async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop)
            let (used, idle) = (try await bench.lease(1), try await bench.lease(2))
            bench.release(idle)
            let old = bench.server
            let new = bench.anotherServer()
            reload(bench, [new])
            #expect(bench.pool.counts.lossCount(.configuration) == 2 && bench.ended == 2)
            try await bench.until("the end of the idle one") { old.transports[1].ends == 1 }
            #expect(old.transports[0].ends == 0)
            let next = try await bench.lease(1)
            #expect(next.session !== used.session && new.sessionCount == 1)
            bench.release(used)
            try await bench.until("the end of the other") { old.transports[0].ends == 1 }
            #expect(bench.pool.count == 1 && bench.pool.backends.counts.map(\.load) == [1])
            bench.checkNoMistakes()
        }
    }

    @Test func aHandshakeWithAServerThatGoesServesThoseThatWait() async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop)
            bench.server.outcome = nil
            let call = bench.ask()
            try await bench.until("a handshake") { bench.server.openings.count == 1 }
            let (old, new) = (bench.server, bench.anotherServer())
            reload(bench, [new])
            old.openings[0].end(.session)
            try await bench.until("a session") { call.lease != nil }
            #expect(bench.pool.counts.lossCount(.configuration) == 1)
            _ = try await bench.lease()
            #expect(new.sessionCount == 1, "the next call has one of the new server")
            bench.release(call)
            try await bench.until("its end") { old.transports[0].ends == 1 }
            bench.checkNoMistakes()
        }
    }

    @Test func idleSessionsBeyondALowerLimitEnd() async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop)
            for caller in UInt8(1)...4 { bench.release(try await bench.lease(caller)) }
            reload(bench, bench.servers, PoolBench.limits(2))
            #expect(bench.pool.count == 2 && bench.pool.counts.evicted == 2)
            try await bench.until("their ends") { bench.server.sessionCount == 2 }
            bench.checkNoMistakes()
        }
    }

    @Test func moreRoomLetsThoseGoOnThatWait() async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop, PoolBench.limits(1, perPrincipal: 1))
            _ = try await bench.lease(1)
            let next = bench.ask(2)
            await bench.settle()
            #expect(next.outcome == nil)
            reload(bench, bench.servers, PoolBench.limits(2))
            try await bench.until("a session") { next.lease != nil }
            bench.checkNoMistakes()
        }
    }

    // MARK: The end

    @Test func aPoolThatIsRetiredEndsWithItsLastCall() async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop)
            let (used, idle) = (try await bench.lease(1), try await bench.lease(2))
            bench.release(idle)
            bench.server.outcome = nil
            // No call waits for this one, and one waits for that one.
            let (left, waiting) = (bench.ask(3), bench.ask(4))
            try await bench.until("handshakes") { bench.server.openings.count == 4 }
            left.waiter.stopWaiting()
            try await bench.until("an error") { left.error != nil }
            var isRetired = false
            loop.spawn {
                await bench.pool.retirePool()
                isRetired = true
            }
            try await bench.until("ends") { bench.server.openings[2].hasFailed && bench.server.sessionCount == 1 }
            bench.server.openings[3].end(.session)
            try await bench.until("a session") { waiting.lease != nil }
            bench.release(used)
            await bench.settle()
            #expect(!isRetired)
            bench.release(waiting)
            try await bench.until("the end") { isRetired }
            #expect(bench.pool.count == 0 && bench.server.sessionCount == 0)
            bench.checkNoMistakes()
        }
    }

    @Test(arguments: [false, true])
    func aPoolThatIsClosedEndsEverySession(startsProcesses: Bool) async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop, startsProcesses: startsProcesses, PoolBench.limits(40, perPrincipal: 40))
            for caller in UInt8(1)...40 { bench.release(try await bench.lease(caller)) }
            await bench.pool.closeAll(until: .now + .seconds(10))
            #expect(bench.server.transports.allSatisfy { $0.ends == 1 })
            let late = bench.ask()
            try await bench.until("an error") { late.error != nil }
            #expect(late.error?.kind == .unavailable && bench.pool.readyLease(PoolBench.key(1)) == nil)
            bench.checkNoMistakes()
        }
    }

    @Test func aServerThatDoesNotLetGoHoldsUpTheEndOnlyForAWhile() async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop)
            bench.server.prepare = { $0.endsSlowly = true }
            bench.release(try await bench.lease())
            let start = Instant.now
            await bench.pool.closeAll(until: start + .milliseconds(50))
            #expect(Instant.now >= start + .milliseconds(50))
            bench.server.transports[0].finishEnd()
            bench.checkNoMistakes()
        }
    }
}
