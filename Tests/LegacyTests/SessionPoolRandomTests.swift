import Foundation
import Reactor
import TestSupport
import Testing

@testable import Legacy

/// A pool and its fake servers through random events, which are the same in each run: calls that come, leave and end, handshakes that
/// succeed and fail, sessions that are lost, slow ends and other configurations.
///
/// `REMORA_STEPS` is how many events there are in all, in runs that are others each time; the seed of one that goes wrong is told,
/// and is to be kept here.
@Suite struct SessionPoolRandomTests {
    private static let stepsOfRun = 250
    /// Seeds of runs that went wrong once.
    private static let kept: [UInt64] = []

    @Test func everyCallAndEverySessionComesToItsEnd() async throws {
        try await withLoop { loop in
            for seed in seedsOfRuns(kept: Self.kept, steps: Self.stepsOfRun) {
                let run = Run(seed: seed, on: loop)
                do {
                    for _ in 0..<Self.stepsOfRun { try await run.step() }
                    try await run.end()
                } catch let violation as Violation {
                    Issue.record("seed \(seed): \(violation.what)")
                    return
                }
            }
        }
    }
}

private final class Run {
    private static let maxCalls = 12
    private static let maxServers = 4

    private let bench: PoolBench
    private var random: SplitMix
    private let limits: SessionPool.Limits
    private let startsProcesses: Bool
    /// Calls that wait for a session, and those that have one.
    private var waiting: [PoolCaller] = []
    private var leased: [PoolCaller] = []
    /// How many handshakes there were when a session was found to be lost.
    private var losses: [ObjectIdentifier: Int] = [:]
    /// Lost sessions, so that no other has the same identifier.
    private var lost: [LegacySession] = []
    /// For a call that had one of them: how many there were then.
    private var bounds: [ObjectIdentifier: Int] = [:]
    private var servers: [FakeServer]

    init(seed: UInt64, on loop: Loop) {
        var random = SplitMix(state: seed)
        let sessions = Int.random(in: 1...5, using: &random)
        limits = PoolBench.limits(
            sessions, perPrincipal: Int.random(in: 1...sessions, using: &random), queue: .seconds(600))
        startsProcesses = Bool.random(using: &random)
        bench = PoolBench(
            on: loop, servers: Int.random(in: 1...2, using: &random), startsProcesses: startsProcesses, limits)
        servers = bench.servers
        self.random = random
        for server in servers { prepare(server) }
    }

    private func prepare(_ server: FakeServer) {
        server.outcome = nil
        server.isDeafToAbandonment = Bool.random(using: &random)
        server.prepare = { [unowned self] in $0.endsSlowly = Bool.random(using: &random) }
    }

    private var openings: [FakeOpening] { bench.servers.flatMap(\.openings) }
    private var transports: [FakeTransport] { bench.servers.flatMap(\.transports) }

    func step() async throws {
        switch Int.random(in: 0..<20, using: &random) {
        case 0..<5: ask()
        case 5..<9: release()
        case 9: waiting.randomElement(using: &random)?.waiter.stopWaiting()
        case 10..<14: settleOpening(fails: false)
        case 14: settleOpening(fails: true)
        case 15: lose()
        case 16: giveUp()
        case 17, 18: transports.filter { $0.ends > 0 && !$0.hasGone }.randomElement(using: &random)?.finishEnd()
        default: if Int.random(in: 0..<4, using: &random) == 0 { reload() }
        }
        await bench.settle()
        try sort()
        try check()
    }

    // MARK: Events

    private func ask(after previous: LegacySession? = nil, as caller: UInt8? = nil) {
        guard waiting.count + leased.count < Run.maxCalls else { return }
        let owner = Bool.random(using: &random) ? FakeOwner() : nil
        let call = bench.ask(caller ?? UInt8.random(in: 1...4, using: &random), for: owner, after: previous)
        if let previous { bounds[ObjectIdentifier(call)] = losses[ObjectIdentifier(previous)] }
        waiting.append(call)
    }

    /// A call ends. One whose session was lost comes again.
    private func release() {
        guard let index = leased.indices.randomElement(using: &random) else { return }
        let call = leased.remove(at: index)
        let session = call.session
        bench.release(call)
        if let session, losses[ObjectIdentifier(session)] != nil { ask(after: session, as: call.caller) }
    }

    private func settleOpening(fails: Bool) {
        guard let opening = openings.filter(\.isUnderWay).randomElement(using: &random) else { return }
        opening.end(fails ? .failure(BackendError(.unavailable, "no")) : .session)
    }

    private func lose() {
        guard let transport = transports.filter({ !$0.hasGone && $0.ends == 0 }).randomElement(using: &random),
            let session = transport.session
        else { return }
        transport.lose()
        note(session)
    }

    private func note(_ session: LegacySession) {
        lost.append(session)
        losses[ObjectIdentifier(session)] = losses[ObjectIdentifier(session)] ?? openings.count
    }

    private func giveUp() {
        guard let lease = leased.randomElement(using: &random)?.lease else { return }
        if Bool.random(using: &random) {
            bench.pool.giveUpSession(lease)
        } else {
            bench.pool.retireSession(lease)
            note(lease.session)
        }
    }

    private func reload() {
        let isSame = Bool.random(using: &random) || bench.servers.count >= Run.maxServers
        if !isSame {
            servers = [bench.anotherServer()]
            prepare(servers[0])
        }
        bench.pool.applySettings(Backends(of: servers, after: bench.pool.backends), limits: limits)
    }

    // MARK: What has to hold

    private func sort() throws(Violation) {
        for call in waiting where call.lease != nil {
            leased.append(call)
            guard let bound = bounds[ObjectIdentifier(call)], let transport = bench.transport(of: call.session),
                let index = bench.servers.count == 1 ? openings.firstIndex(where: { $0.transport === transport }) : nil
            else { continue }
            if index < bound { throw Violation(what: "a session that is older than the loss of another") }
        }
        waiting.removeAll { $0.outcome != nil }
    }

    private func check() throws(Violation) {
        if bench.pool.count > limits.maxSessions { throw Violation(what: "more sessions than allowed") }
        if startsProcesses, bench.servers.reduce(0, { $0 + $1.placeCount }) > limits.maxSessions {
            throw Violation(what: "more processes than allowed")
        }
        var callers: [ObjectIdentifier: UInt8] = [:]
        var owned: Set<ObjectIdentifier> = []
        for call in leased {
            guard let session = call.session else { throw Violation(what: "a lease without a session") }
            let id = ObjectIdentifier(session)
            if callers.updateValue(call.caller, forKey: id) ?? call.caller != call.caller {
                throw Violation(what: "two callers on one session")
            }
            if call.owner != nil, !owned.insert(id).inserted {
                throw Violation(what: "two exclusive calls on one session")
            }
            if let owner = call.owner, session.interaction !== owner {
                throw Violation(what: "a session without its owner")
            }
        }
        try checkReasonToWait(callers)
    }

    /// Where calls wait and nothing is under way that they could wait for, no session is idle.
    private func checkReasonToWait(_ used: [ObjectIdentifier: UInt8]) throws(Violation) {
        guard !waiting.isEmpty, !openings.contains(where: \.isUnderWay),
            !transports.contains(where: { $0.ends > 0 && !$0.hasGone })
        else { return }
        if bench.pool.count == 0 { throw Violation(what: "a call waits, though there is room") }
        let isIdle = transports.contains { transport in
            !transport.hasGone && transport.session.map { used[ObjectIdentifier($0)] == nil } == true
        }
        if isIdle, limits.maxPerPrincipal == limits.maxSessions {
            throw Violation(what: "a call waits, though a session is idle")
        }
    }

    // MARK: The end

    /// Every handshake, call and session comes to its end.
    func end() async throws {
        var rounds = 0
        while !waiting.isEmpty || !leased.isEmpty || openings.contains(where: \.isUnderWay) {
            for opening in openings { opening.end(.session) }
            for transport in transports { transport.finishEnd() }
            for call in leased { bench.release(call) }
            leased = []
            await bench.settle()
            try sort()
            rounds += 1
            if rounds > 1000 { throw Violation(what: "\(waiting.count) calls wait for ever") }
        }
        var isOver = false
        bench.loop.spawn { [self] in
            await bench.pool.retirePool()
            isOver = true
        }
        for _ in 0..<100 where !isOver {
            for transport in transports { transport.finishEnd() }
            await bench.settle()
        }
        if !isOver { throw Violation(what: "the pool does not end") }
        for transport in transports {
            if transport.ends > 1 { throw Violation(what: "a session was ended twice") }
            if !transport.hasGone { throw Violation(what: "a session is left") }
        }
        if bench.pool.count > 0 { throw Violation(what: "a place is left") }
        if bench.opened != bench.ended { throw Violation(what: "\(bench.opened) opened, \(bench.ended) ended") }
        if bench.pool.backends.counts.contains(where: { $0.load != 0 }) { throw Violation(what: "a copy has a load") }
        bench.checkNoMistakes()
    }
}
