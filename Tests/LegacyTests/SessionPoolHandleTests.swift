import Crypto
import Reactor
import TestSupport
import Testing

@testable import Legacy

/// Sessions of handles in a pool with fake servers.
@Suite struct SessionPoolHandleTests {
    private final class Observer: HandleSessionObserver {
        private(set) var ends: [(key: SessionKey, end: SessionEnd?)] = []

        func handleSessionEnded(_ key: SessionKey, _ end: SessionEnd?) { ends.append((key, end)) }
    }

    /// A call in the session of a handle.
    private final class Call {
        let waiter = SessionWaiter(until: nil)
        let owner: FakeOwner?
        var outcome: Result<Lease, BackendError>?

        init(for owner: FakeOwner?) { self.owner = owner }

        var lease: Lease? { try? outcome?.get() }
        var error: BackendError? { if case .failure(let error) = outcome { error } else { nil } }
    }

    private static func key(_ number: UInt64, of caller: UInt8 = 1) -> SessionKey {
        SessionKey(principal: PoolBench.principal(caller), capabilities: Array("{}".utf8), handle: number)
    }

    private static func open(_ bench: PoolBench, _ key: SessionKey) async throws {
        try await bench.pool.openHandleSession(key, credentials: .none, by: SessionWaiter(until: nil))
    }

    private static func ask(_ bench: PoolBench, _ key: SessionKey, for owner: FakeOwner? = nil) -> Call {
        let call = Call(for: owner)
        bench.loop.spawn {
            do throws(BackendError) {
                call.outcome = .success(
                    try await bench.pool.leaseSession(key, for: owner, credentials: .none, by: call.waiter))
            } catch {
                call.outcome = .failure(error)
            }
        }
        return call
    }

    @Test func onlyItsOwnCallsHaveIt() async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop)
            try await Self.open(bench, Self.key(1))
            try await Self.open(bench, Self.key(2))
            let shared = try await bench.lease()
            let own = [1, 2, 1].map { Self.ask(bench, Self.key($0)) }
            try await bench.until("sessions") { own.allSatisfy { $0.lease != nil } }
            #expect(own[0].lease?.session === own[2].lease?.session)
            #expect(own[0].lease?.session !== own[1].lease?.session)
            #expect(own.allSatisfy { $0.lease?.session !== shared.session })
            #expect(bench.server.openings.count == 3 && bench.pool.count == 3)
            #expect(bench.pool.readyLease(Self.key(3)) == nil)
            bench.checkNoMistakes()
        }
    }

    @Test func noOtherTakesThePlaceOfOneThatIsGone() async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop)
            let observer = Observer()
            bench.pool.handleObserver = observer
            let unknown = Self.ask(bench, Self.key(7))
            try await bench.until("an error") { unknown.error?.kind == .handleGone }
            try await Self.open(bench, Self.key(1))
            let call = Self.ask(bench, Self.key(1))
            try await bench.until("a session") { call.lease != nil }
            let lease = try #require(call.lease)
            bench.pool.retireSession(lease)
            #expect(observer.ends.count == 1 && observer.ends[0].key == Self.key(1))
            #expect(observer.ends[0].end == .lost(.server))
            bench.pool.releaseLease(lease)
            for owner in [nil, FakeOwner()] {
                let late = Self.ask(bench, Self.key(1), for: owner)
                try await bench.until("an error") { late.error?.kind == .handleGone }
                #expect(late.error?.isBeforeDispatch == true)
            }
            #expect(bench.server.openings.count == 1 && bench.pool.count == 0)
            bench.checkNoMistakes()
        }
    }

    @Test func itIsClosedAfterItsLastCall() async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop)
            let observer = Observer()
            bench.pool.handleObserver = observer
            try await Self.open(bench, Self.key(1))
            let call = Self.ask(bench, Self.key(1))
            try await bench.until("a session") { call.lease != nil }
            let transport = bench.server.transports[0]
            bench.pool.endHandleSession(Self.key(1))
            bench.pool.endHandleSession(Self.key(1))
            #expect(observer.ends.count == 1 && observer.ends[0].end == nil && !transport.hasGone)
            bench.pool.releaseLease(try #require(call.lease))
            try await bench.until("its end") { transport.hasGone }
            #expect(bench.pool.count == 0 && bench.pool.idleStart(ofHandle: Self.key(1)) == nil)
            bench.checkNoMistakes()
        }
    }

    @Test func aCallThatMayAskHasItAloneInTurn() async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop)
            try await Self.open(bench, Self.key(1))
            let calls = (0..<4).map { _ in Self.ask(bench, Self.key(1), for: FakeOwner()) }
            try await bench.until("the first") { calls[0].lease != nil }
            await bench.settle()
            #expect(calls[1...].allSatisfy { $0.outcome == nil })
            // One leaves while it waits, and one when its turn has come.
            calls[1].waiter.stopWaiting()
            try await bench.until("its end") { calls[1].error?.kind == .cancelled }
            bench.pool.releaseLease(try #require(calls[0].lease))
            // No call that comes now is before those that wait.
            #expect(bench.pool.readyExclusiveLease(Self.key(1), for: FakeOwner()) == nil)
            try await bench.until("the third") { calls[2].lease != nil }
            #expect(calls[3].outcome == nil)
            // A call that asks for nothing need not wait.
            let list = Self.ask(bench, Self.key(1))
            try await bench.until("a session") { list.lease != nil }
            bench.pool.releaseLease(try #require(list.lease))
            bench.pool.releaseLease(try #require(calls[2].lease))
            try await bench.until("the last") { calls[3].lease != nil }
            bench.pool.releaseLease(try #require(calls[3].lease))
            #expect(bench.server.openings.count == 1)
            bench.checkNoMistakes()
        }
    }

    @Test func whoWaitsForItHearsOfItsEnd() async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop)
            try await Self.open(bench, Self.key(1))
            let calls = (0..<3).map { _ in Self.ask(bench, Self.key(1), for: FakeOwner()) }
            try await bench.until("the first") { calls[0].lease != nil }
            await bench.settle()
            bench.pool.endHandleSession(Self.key(1))
            try await bench.until("errors") { calls[1...].allSatisfy { $0.error?.kind == .handleGone } }
            bench.pool.releaseLease(try #require(calls[0].lease))
            #expect(bench.pool.count == 0)
            bench.checkNoMistakes()
        }
    }

    @Test func itMakesNoRoomAndIsNotIdleForThePool() async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop, PoolBench.limits(2, perPrincipal: 2, idle: .milliseconds(50)))
            try await Self.open(bench, Self.key(1))
            for caller: UInt8 in [2, 3, 1, 2] { bench.release(try await bench.lease(caller)) }
            await pause(.milliseconds(200), on: loop)
            #expect(bench.pool.count == 1 && bench.pool.readyLease(Self.key(1)) != nil)
            #expect(bench.pool.idleStart(ofHandle: Self.key(1)) == nil, "a call has it")
            bench.checkNoMistakes()
        }
    }

    @Test func itCountsAmongTheSessionsOfItsCaller() async throws {
        try await withLoop { loop in
            let bench = PoolBench(
                on: loop, PoolBench.limits(4, perPrincipal: 1, idle: .seconds(60), queue: .milliseconds(50)))
            try await Self.open(bench, Self.key(1))
            let own = bench.ask(1)
            try await bench.until("an error") { own.error?.kind == .busy }
            await #expect(throws: BackendError.self) { try await Self.open(bench, Self.key(2)) }
            _ = try await bench.lease(2)
            bench.pool.endHandleSession(Self.key(1))
            _ = try await bench.lease(1)
            bench.checkNoMistakes()
        }
    }

    /// Callers without credentials may have all sessions until others come: not by what none of them gives back.
    @Test func aLoneCallerHasItsShareFromThen() async throws {
        try await withLoop { loop in
            var limits = PoolBench.limits(4, perPrincipal: 2, idle: .seconds(60), queue: .milliseconds(50))
            limits.letsLoneHaveAll = true
            let bench = PoolBench(on: loop, limits)
            let keys = (1...3).map {
                SessionKey(principal: KeyedHash.none, capabilities: Array("{}".utf8), handle: UInt64($0))
            }
            try await Self.open(bench, keys[0])
            try await Self.open(bench, keys[1])
            await #expect(throws: BackendError.self) { try await Self.open(bench, keys[2]) }
            bench.checkNoMistakes()
        }
    }

    @Test func aCallerThatLeavesDuringTheHandshakeLeavesNothing() async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop)
            let observer = Observer()
            bench.pool.handleObserver = observer
            bench.server.outcome = nil
            let waiter = SessionWaiter(until: nil)
            var error: BackendError?
            loop.spawn {
                do throws(BackendError) {
                    try await bench.pool.openHandleSession(Self.key(1), credentials: .none, by: waiter)
                } catch let flaw {
                    error = flaw
                }
            }
            try await bench.until("a handshake") { bench.server.openings.count == 1 }
            waiter.stopWaiting()
            try await bench.until("its end") { error?.kind == .cancelled }
            // Only the answer names the session that is to be deleted.
            bench.server.openings[0].end(.session)
            try await bench.until("its end") { bench.server.transports.first?.hasGone == true }
            #expect(bench.pool.count == 0 && observer.ends.isEmpty)
            bench.checkNoMistakes()
        }
    }

    @Test func aProcessIsEndedBeforeItsHandshakeIs() async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop, startsProcesses: true)
            bench.server.outcome = nil
            let waiter = SessionWaiter(until: nil)
            loop.spawn { try? await bench.pool.openHandleSession(Self.key(1), credentials: .none, by: waiter) }
            try await bench.until("a handshake") { bench.server.openings.count == 1 }
            waiter.stopWaiting()
            try await bench.until("its end") { bench.pool.count == 0 }
            bench.checkNoMistakes()
        }
    }

    /// Another session would be another state: it is kept for calls that may ask, though its server asked when none could answer.
    @Test func aQuestionWithoutAClientDoesNotSpoilIt() async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop)
            try await Self.open(bench, Self.key(1))
            bench.server.transports[0].session?.delegate?.questionHadNoClient()
            let call = Self.ask(bench, Self.key(1), for: FakeOwner())
            try await bench.until("a session") { call.lease != nil }
            bench.checkNoMistakes()
        }
    }

    @Test func aPoolThatRetiresTakesItAlong() async throws {
        try await withLoop { loop in
            let bench = PoolBench(on: loop)
            let observer = Observer()
            bench.pool.handleObserver = observer
            try await Self.open(bench, Self.key(1))
            await bench.pool.retirePool()
            #expect(observer.ends.count == 1 && observer.ends[0].end == .lost(.configuration) && bench.pool.count == 0)
            bench.checkNoMistakes()
        }
    }
}
