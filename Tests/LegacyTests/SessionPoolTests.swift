import Reactor
import TestSupport
import Testing

@testable import Legacy

/// Sessions of a pool with fake servers: who gets one, who waits, and what becomes of each.
@Suite struct SessionPoolTests {
    // MARK: Handshakes

    @Test func oneHandshakeServesAllThatWait() async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop)
            bench.server.outcome = nil
            let calls = (0..<50).map { _ in bench.ask() }
            try await bench.until("a handshake") { bench.server.openings.count == 1 }
            #expect(bench.pool.counts.opening == 1 && bench.pool.counts.open == 0)
            #expect(calls.allSatisfy { $0.outcome == nil })
            bench.server.openings[0].end(.session)
            try await bench.until("sessions") { calls.allSatisfy { $0.lease != nil } }
            #expect(bench.server.openings.count == 1)
            #expect(calls.allSatisfy { $0.session === calls[0].session })
            #expect(bench.pool.counts.opened == 1 && bench.pool.counts.opening == 0 && bench.opened == 1)
            for call in calls { bench.release(call) }
            #expect(bench.pool.count == 1 && bench.pool.readyLease(PoolBench.key(1)) != nil)
            bench.checkNoMistakes()
        }
    }

    @Test func aRefusedHandshakeFailsAllThatWaitAndTheNextCallTriesAgain() async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop)
            bench.server.outcome = nil
            let calls = (0..<5).map { _ in bench.ask() }
            try await bench.until("a handshake") { bench.server.openings.count == 1 }
            bench.server.openings[0].end(.failure(BackendError(.unavailable, "no", isRefusal: true)))
            try await bench.until("errors") { calls.allSatisfy { $0.error?.kind == .unavailable } }
            #expect(bench.pool.counts.failed == 1 && bench.pool.count == 0)
            #expect(bench.doubts == 0, "a refusal says that the server is well")
            bench.server.outcome = .session
            _ = try await bench.lease()
            #expect(bench.server.openings.count == 2)
            bench.checkNoMistakes()
        }
    }

    @Test func aHandshakeThatFailsLetsTheNextCallHaveItsPlace() async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop, PoolBench.limits(1, perPrincipal: 1))
            bench.server.outcome = nil
            let first = bench.ask(1)
            try await bench.until("a handshake") { bench.server.openings.count == 1 }
            let second = bench.ask(2)
            await bench.settle()
            #expect(bench.server.openings.count == 1 && bench.pool.hasWaiting)
            bench.server.outcome = .session
            bench.server.openings[0].end(.failure(BackendError(.unavailable, "broken")))
            try await bench.until("both") { first.error != nil && second.lease != nil }
            #expect(bench.doubts > 0, "a server that fails may have been replaced")
            bench.checkNoMistakes()
        }
    }

    @Test func aSessionThatIsLostBeforeItsCallHasItServesNoOther() async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop)
            bench.server.prepare = { $0.takes = false }
            let call = bench.ask()
            try await bench.until("an error") { call.error != nil }
            #expect(call.error?.kind == .unavailable)
            #expect(bench.server.transports[0].hasGone && bench.pool.count == 0)
            bench.checkNoMistakes()
        }
    }

    // MARK: Who leaves

    @Test func aSessionThatNobodyWaitsForIsKeptForTheNext() async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop)
            bench.server.outcome = nil
            let call = bench.ask()
            try await bench.until("a handshake") { bench.server.openings.count == 1 }
            call.waiter.stopWaiting()
            try await bench.until("an error") { call.error?.kind == .cancelled }
            #expect(bench.server.openings[0].isUnderWay)
            bench.server.openings[0].end(.session)
            try await bench.until("a session") { bench.opened == 1 }
            #expect(bench.pool.readyLease(PoolBench.key(1)) != nil)
            #expect(bench.server.openings.count == 1)
            bench.checkNoMistakes()
        }
    }

    @Test func oneThatLeavesTakesNothingFromTheOthers() async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop)
            bench.server.outcome = nil
            let (first, second) = (bench.ask(), bench.ask())
            try await bench.until("a handshake") { bench.server.openings.count == 1 }
            first.waiter.stopWaiting()
            try await bench.until("an error") { first.error != nil }
            bench.server.openings[0].end(.session)
            try await bench.until("a session") { second.lease != nil }
            bench.release(second)
            #expect(bench.pool.count == 1)
            bench.checkNoMistakes()
        }
    }

    @Test(arguments: [false, true])
    func aHandshakeThatNobodyWaitsForMakesRoom(startsProcesses: Bool) async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop, startsProcesses: startsProcesses, PoolBench.limits(1, perPrincipal: 1))
            bench.server.outcome = nil
            let first = bench.ask(1)
            try await bench.until("a handshake") { bench.server.openings.count == 1 }
            first.waiter.stopWaiting()
            try await bench.until("an error") { first.error != nil }
            let second = bench.ask(2)
            try await bench.until("another handshake") { bench.server.openings.count == 2 }
            #expect(bench.server.openings[0].hasFailed)
            bench.server.openings[1].end(.session)
            try await bench.until("a session") { second.lease != nil }
            #expect(bench.pool.counts.evicted == 1 && bench.pool.counts.failed == 0, "a cut handshake has not failed")
            bench.checkNoMistakes()
        }
    }

    @Test(arguments: [false, true])
    func aSessionThatComesThoughItIsNotWantedIsEnded(startsProcesses: Bool) async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop, startsProcesses: startsProcesses, PoolBench.limits(1, perPrincipal: 1))
            bench.server.outcome = nil
            bench.server.isDeafToAbandonment = true
            let first = bench.ask(1)
            try await bench.until("a handshake") { bench.server.openings.count == 1 }
            first.waiter.stopWaiting()
            try await bench.until("an error") { first.error != nil }
            let second = bench.ask(2)
            await bench.settle()
            // A process has its place until it has ended.
            #expect(bench.server.openings.count == (startsProcesses ? 1 : 2))
            bench.server.openings[0].end(.session)
            try await bench.until("the end of what came late") { bench.server.transports.first?.hasGone == true }
            try await bench.until("another handshake") { bench.server.openings.count == 2 }
            bench.server.openings[1].end(.session)
            try await bench.until("a session") { second.lease != nil }
            #expect(bench.opened == 1 && bench.pool.count == 1)
            bench.checkNoMistakes()
        }
    }

    @Test func aCallThatHasTakenTooLongWaitsNoMore() async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop)
            bench.server.outcome = nil
            let call = bench.ask(until: loop.now + .milliseconds(30))
            try await bench.until("an error") { call.error != nil }
            #expect(call.error?.kind == .unavailable)
            #expect(bench.server.openings[0].isUnderWay)
            bench.checkNoMistakes()
        }
    }

    // MARK: Limits

    @Test func noMoreSessionsThanAllowed() async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop, PoolBench.limits(2, perPrincipal: 2, queue: .milliseconds(50)))
            let first = try await bench.lease(1)
            _ = try await bench.lease(2)
            let third = bench.ask(3)
            try await bench.until("an error") { third.error != nil }
            #expect(third.error?.kind == .busy && third.error?.detail.contains("sessions.max") == true)
            #expect(!bench.pool.hasWaiting && bench.server.openings.count == 2)
            bench.release(first)
            // An idle one makes room.
            let fourth = try await bench.lease(4)
            #expect(fourth.session != nil && bench.pool.counts.evicted == 1 && bench.pool.count == 2)
            try await bench.until("the end of the idle one") { bench.server.transports[0].ends == 1 }
            bench.checkNoMistakes()
        }
    }

    @Test func aCallerHasNoMoreThanItsShare() async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop, PoolBench.limits(4, perPrincipal: 1, queue: .milliseconds(50)))
            let (first, second) = (FakeOwner(), FakeOwner())
            _ = try await bench.lease(1, for: first)
            let refused = bench.ask(1, for: second)
            try await bench.until("an error") { refused.error != nil }
            #expect(refused.error?.detail.contains("max_per_principal") == true)
            _ = try await bench.lease(2)
            bench.checkNoMistakes()
        }
    }

    @Test func whoWaitsIsServedInTurn() async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop, PoolBench.limits(1, perPrincipal: 1))
            var call = try await bench.lease(1)
            let waiting = (UInt8(2)...5).map { bench.ask($0) }
            await bench.settle()
            for next in waiting {
                #expect(next.outcome == nil)
                bench.release(call)
                try await bench.until("a session") { next.lease != nil }
                #expect(waiting.count { $0.outcome != nil } == 1)
                call = next
            }
            bench.checkNoMistakes()
        }
    }

    @Test func aProcessHasItsPlaceUntilItHasEnded() async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop, startsProcesses: true, PoolBench.limits(1, perPrincipal: 1))
            bench.server.prepare = { $0.endsSlowly = true }
            bench.release(try await bench.lease(1))
            let next = bench.ask(2)
            try await bench.until("an end") { bench.server.transports[0].ends == 1 }
            await bench.settle()
            #expect(bench.server.openings.count == 1 && next.outcome == nil && bench.pool.counts.ending == 1)
            bench.server.transports[0].finishEnd()
            try await bench.until("a session") { next.lease != nil }
            bench.checkNoMistakes()
        }
    }

    // MARK: Exclusive calls

    @Test func callsThatMayBeAskedShareNoSession() async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop)
            let owners = (FakeOwner(), FakeOwner())
            let first = try await bench.lease(for: owners.0)
            let second = try await bench.lease(for: owners.1)
            #expect(first.session !== second.session)
            #expect(first.session?.interaction === owners.0 && second.session?.interaction === owners.1)
            let shared = try await bench.lease()
            #expect(shared.session === first.session, "a call that asks nothing uses one that there is")
            let oldest = first.session
            bench.release(second)
            bench.release(first)
            #expect(oldest?.interaction == nil)
            let third = try await bench.lease(for: owners.1)
            #expect(third.session === oldest, "not the oldest")
            bench.checkNoMistakes()
        }
    }

    // MARK: Loss

    @Test func aLostSessionIsFollowedByOneThatWasOpenedSince() async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop)
            let first = try await bench.lease(for: FakeOwner())
            let second = try await bench.lease(for: FakeOwner())
            let (lost, other) = (first.session, second.session)
            bench.release(second)
            bench.transport(of: lost)?.lose()
            #expect(bench.pool.counts.lossCount(.server) == 1 && bench.ended == 1 && bench.doubts > 0)
            #expect(lost?.isClosed == true && bench.server.transports[0].drops == 1)
            bench.release(first)
            #expect(bench.pool.count == 1)
            // The other one was there when the loss was noticed: the server may have lost it as well.
            let third = try await bench.lease(for: FakeOwner(), after: lost)
            #expect(third.session !== lost && third.session !== other)
            let fourth = try await bench.lease(for: FakeOwner())
            #expect(fourth.session === other)
            bench.checkNoMistakes()
        }
    }

    @Test func oneLossIsCountedOnce() async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop)
            let calls = try await [bench.lease(), bench.lease(), bench.lease()]
            for call in calls { if let lease = call.lease { bench.pool.retireSession(lease) } }
            bench.server.transports[0].lose()
            #expect(bench.pool.counts.lost == 1 && bench.ended == 1)
            #expect(bench.pool.readyLease(PoolBench.key(1)) == nil)
            for call in calls { bench.release(call) }
            #expect(bench.pool.count == 0)
            #expect(bench.server.transports[0].ends == 0, "a session that is lost was ended")
            bench.checkNoMistakes()
        }
    }

    @Test func aSessionIsCheckedBeforeItIsGivenUp() async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop)
            let call = try await bench.lease()
            guard let lease = call.lease, let transport = bench.transport(of: call.session) else { return }
            bench.pool.checkSession(lease, .none)
            await bench.settle()
            #expect(transport.calls.count == 1 && bench.pool.counts.lost == 0)
            transport.sign = .lost
            bench.pool.checkSession(lease, .none)
            try await bench.until("its loss") { bench.pool.counts.lossCount(.server) == 1 }
            bench.release(call)
            #expect(bench.pool.count == 0)
            bench.checkNoMistakes()
        }
    }

    @Test func aSessionThatIsGivenUpEndsAfterItsLastCall() async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop)
            let calls = try await [bench.lease(), bench.lease()]
            guard let lease = calls[0].lease else { return }
            bench.pool.giveUpSession(lease)
            #expect(bench.pool.counts.lossCount(.call) == 1)
            bench.release(calls[0])
            await bench.settle()
            #expect(bench.server.transports[0].ends == 0)
            bench.release(calls[1])
            try await bench.until("its end") { bench.server.transports[0].ends == 1 }
            #expect(bench.pool.count == 0 && bench.ended == 1)
            bench.checkNoMistakes()
        }
    }

    @Test func anIdleSessionExpires() async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop, PoolBench.limits(idle: .milliseconds(30)))
            bench.release(try await bench.lease())
            try await bench.until("its end") { bench.server.transports[0].ends == 1 }
            #expect(bench.pool.counts.expired == 1 && bench.pool.count == 0 && bench.ended == 1)
            bench.checkNoMistakes()
        }
    }

    // MARK: Copies

    @Test func anotherCopyServesWhereOneFails() async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop, servers: 2)
            bench.servers[0].outcome = .failure(BackendError(.unavailable, "away"))
            _ = try await bench.lease()
            #expect(bench.servers[0].openings.count == 1 && bench.servers[1].sessionCount == 1)
            #expect(bench.pool.backends.counts[0].isAside && !bench.pool.backends.counts[1].isAside)
            #expect(bench.pool.backends.counts.map(\.load) == [0, 1])
            bench.servers[1].outcome = .failure(BackendError(.unavailable, "away too"))
            let call = bench.ask(2)
            try await bench.until("an error") { call.error != nil }
            #expect(call.error?.kind == .unavailable && bench.pool.counts.failed == 1)
            bench.checkNoMistakes()
        }
    }

    @Test func aRefusalOfCredentialsIsNotTriedElsewhere() async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop, servers: 2)
            bench.servers[0].outcome = .failure(BackendError(.unauthorized(status: 401, challenges: []), "who?"))
            let call = bench.ask()
            try await bench.until("an error") { call.error != nil }
            #expect(bench.servers[1].openings.isEmpty)
            bench.checkNoMistakes()
        }
    }
}
