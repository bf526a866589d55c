import Crypto
import Legacy
import Reactor
import TestSupport
import Testing

@testable import Gateway

/// The handles of a loop, with sessions at a scripted server.
@Suite struct HeldHandlesTests {
    /// Handles in a pool of a stage.
    private final class Bench {
        let stage: SessionStage
        let held: HeldHandles
        private let base: SessionKey
        let caller: Caller

        init(on loop: Loop, _ settings: HandleSettings) throws {
            stage = try SessionStage(on: loop, ScriptedMCPServer(on: loop))
            held = HeldHandles(on: loop)
            caller = try stage.caller()
            base = stage.key(try stage.request("tools/list"), of: caller)
            stage.sessions.handleObserver = held
            held.applySettings(settings, in: stage.sessions)
        }

        func open(maxAge: Duration = .seconds(60)) async throws -> HeldHandle {
            let key = held.makeKey(like: base)
            #expect(held.reservePlace(for: caller.principal, 8))
            try await stage.sessions.openHandleSession(
                key, credentials: caller.credentials, by: SessionWaiter(until: nil))
            let handle = HeldHandle(
                CallID(random: SecureRandom.bytes), as: Array("handle \(key.handle)".utf8), key, of: stage.sessions,
                isAskable: false, until: stage.loop.now + maxAge)
            held.insertHandle(handle)
            return handle
        }

        func isHere(_ handle: HeldHandle) -> Bool {
            let found = held.heldHandle(handle.id, of: caller.principal, in: stage.sessions)
            #expect(held.heldHandle(as: handle.text, of: caller.principal, in: stage.sessions) === found)
            return found === handle
        }

    }

    private static func settings(idle: Duration = .seconds(60)) -> HandleSettings {
        HandleSettings(isRequired: false, idleTimeout: idle, maxAge: .seconds(60), maxPerPrincipal: 8)
    }

    @Test func keysAreNotShared() async throws {
        try await withLoop { loop in
            let bench = try Bench(on: loop, Self.settings())
            let handles = [try await bench.open(), try await bench.open()]
            let sessions = handles.compactMap { bench.stage.sessions.session(ofHandle: $0.key) }
            #expect(sessions.count == 2 && sessions[0] !== sessions[1])
            #expect(bench.held.counts.open == 2 && bench.held.counts.opened == 2)
            #expect(bench.held.keys(of: bench.caller.principal, in: bench.stage.sessions) == handles.map(\.key))
            let other = try bench.stage.caller("B")
            #expect(bench.held.heldHandle(handles[0].id, of: other.principal, in: bench.stage.sessions) == nil)
            #expect(bench.held.heldHandle(as: handles[0].text, of: other.principal, in: bench.stage.sessions) == nil)
            #expect(bench.held.keys(of: other.principal, in: bench.stage.sessions).isEmpty)
        }
    }

    @Test func eachEndIsCountedOnce() async throws {
        try await withLoop { loop in
            let bench = try Bench(on: loop, Self.settings(idle: .milliseconds(300)))
            let old = try await bench.open(maxAge: .milliseconds(100))
            let idle = try await bench.open()
            let closed = try await bench.open()
            bench.held.endHandle(closed, .closed)
            bench.held.endHandle(closed, .closed)
            #expect(!bench.isHere(closed))
            try await Self.wait(for: "its age", loop) { !bench.isHere(old) }
            #expect(bench.isHere(idle))
            try await Self.wait(for: "its rest", loop) { !bench.isHere(idle) }
            let lost = try await bench.open()
            bench.stage.sessions.retireAll(.server)
            #expect(!bench.isHere(lost))
            let moved = try await bench.open()
            bench.stage.sessions.retireAll(.configuration)
            #expect(!bench.isHere(moved))
            let counts = bench.held.counts
            for end in HandleCounts.End.allCases { #expect(counts.endCount(end) == 1, "\(end)") }
            #expect(counts.open == 0 && counts.opened == 5)
        }
    }

    /// What uses its session keeps it, however long that takes.
    @Test func aHandleInUseIsNotIdle() async throws {
        try await withLoop { loop in
            let bench = try Bench(on: loop, Self.settings(idle: .milliseconds(200)))
            let handle = try await bench.open()
            let lease = try #require(bench.stage.sessions.readyLease(handle.key))
            await pause(.milliseconds(500), on: loop)
            #expect(bench.isHere(handle))
            bench.stage.sessions.releaseLease(lease)
            await pause(.milliseconds(100), on: loop)
            #expect(bench.isHere(handle))
            try await Self.wait(for: "its rest", loop) { !bench.isHere(handle) }
        }
    }

    @Test func placesAreCountedForEachCaller() async throws {
        try await withLoop { loop in
            let bench = try Bench(on: loop, Self.settings())
            let (ada, bob) = (bench.caller.principal, try bench.stage.caller("B").principal)
            #expect(bench.held.reservePlace(for: ada, 2) && bench.held.reservePlace(for: ada, 2))
            #expect(!bench.held.reservePlace(for: ada, 2) && bench.held.reservePlace(for: bob, 2))
            bench.held.leavePlace(ada)
            #expect(bench.held.reservePlace(for: ada, 2) && bench.held.counts.refused == 1)
        }
    }

    @Test func anotherConfigurationEndsThem() async throws {
        try await withLoop { loop in
            let bench = try Bench(on: loop, Self.settings())
            let handle = try await bench.open()
            bench.held.applySettings(Self.settings(idle: .seconds(30)), in: bench.stage.sessions)
            #expect(bench.isHere(handle))
            bench.held.applySettings(.off, in: bench.stage.sessions)
            #expect(!bench.isHere(handle) && bench.held.counts.endCount(.reload) == 1)
            let second = try await bench.open()
            let other = SessionPool.test(Backends([Backend.test(bench.stage.server.server, on: loop)]))
            bench.held.applySettings(Self.settings(), in: other)
            #expect(!bench.isHere(second) && bench.held.counts.endCount(.reload) == 2)
        }
    }

    private static func wait(for what: String, _ loop: Loop, _ condition: () -> Bool) async throws {
        let end = Instant.now + .seconds(10)
        while !condition() {
            try #require(.now < end, "\(what)")
            await pause(.milliseconds(5), on: loop)
        }
    }
}
