import Foundation
import Reactor
import TestSupport
import Testing

@testable import Legacy

/// The table against a model of the calls that use it, through random histories that are the same in each run.
///
/// `REMORA_STEPS` is how many steps there are in all, in histories that are others each time; the seed of one that goes wrong
/// is told, and is to be kept here.
@Suite struct SessionTableModelTests {
    private static let stepsOfHistory = 2000
    /// Seeds of histories that went wrong once.
    private static let kept: [UInt64] = []

    private static var seeds: [UInt64] {
        let known = kept + Array(1...30)
        guard let steps = ProcessInfo.processInfo.environment["REMORA_STEPS"].flatMap({ Int($0) }) else { return known }
        let first = UInt64.random(in: 0 ... .max)
        print("seeds from \(first) on")
        return known + (0..<UInt64(max(0, steps / stepsOfHistory - known.count))).map { first &+ $0 }
    }

    @Test func invariantsHoldInAnyHistory() {
        for seed in Self.seeds {
            var history = History(seed: seed)
            for step in 0..<Self.stepsOfHistory {
                history.step()
                guard history.checkInvariants(step) else { break }
            }
            history.end()
            #expect(history.table.waitingCount == 0, "nobody may be left waiting")
            #expect(history.table.count == 0, "every call has ended and time has passed: nothing may be left")
            #expect(history.table.endingCount == 0)
            #expect(history.open.isEmpty, "a session was neither closed nor kept")
            guard !history.hasFailed, history.open.isEmpty, history.table.count == 0 else {
                Issue.record("the history with the seed \(seed) goes wrong")
                return
            }
        }
    }
}

/// Calls, sessions and the clock, as the pool sees them.
private struct History {
    private struct Call {
        let id: Int
        let key: Int
        let isExclusive: Bool
    }

    /// The first of the keys with exclusive calls.
    private static let firstAsked = 4
    private static let idleTimeout = Duration.seconds(30)

    private(set) var table: SessionTable<Int, Int>
    /// Sessions that have a place: opened or being opened, and not gone yet.
    private(set) var open: Set<Int> = []
    /// Those of them that are closed.
    private var ending: Set<Int> = []
    /// Those that were closed before they were open, where their places are free at once, and that have not ended yet.
    private var cut: Set<Int> = []
    private(set) var hasFailed = false
    private let limits: SessionTable<Int, Int>.Limits
    /// Tickets of calls for which there was no room, in their order.
    private var queue: [(ticket: Int, key: Int, isExclusive: Bool, after: Int)] = []
    private var lastTicket = 0
    private var random: SplitMix
    private var now = Instant(nanoseconds: 0)
    private var opening: [Int: Int] = [:]
    private var keys: [Int: Int] = [:]
    /// Calls with a lease on a session that is open, and those that wait for one.
    private var calls: [Call] = []
    private var waiting: [Call] = []
    private var retired: Set<Int> = []
    /// The last numbers that there were when sessions were found to be lost.
    private var losses: [Int] = []
    /// Sessions in the place of which shared calls had another opened, since those of their time may be lost.
    private var replaced: Set<Int> = []
    /// Sessions that asked when no client could answer.
    private var shared: Set<Int> = []
    /// Whether another owner than the lone one has asked.
    private var hasOthers = false

    init(seed: UInt64) {
        random = SplitMix(state: seed)
        let sessions = Int.random(in: 1...5, using: &random)
        limits = SessionTable<Int, Int>.Limits(
            sessions: sessions, sessionsPerOwner: Int.random(in: 1...sessions, using: &random),
            lone: Bool.random(using: &random) ? 0 : nil, waiting: Int.random(in: 1...6, using: &random),
            waitingPerOwner: Int.random(in: 1...4, using: &random),
            endingCounts: Bool.random(using: &random))
        table = SessionTable(limits: limits, idleTimeout: Self.idleTimeout)
    }

    private func owner(of key: Int) -> Int { key % 3 }

    private func share(of owner: Int) -> Int {
        owner == limits.lone && !hasOthers ? limits.sessions : limits.sessionsPerOwner
    }

    /// Sessions that an exclusive call may have.
    private func free(of key: Int) -> [Int] {
        open.subtracting(ending).subtracting(retired).subtracting(shared).filter { id in
            keys[id] == key && !isOpening(id) && !calls.contains { $0.id == id && $0.isExclusive }
        }
    }

    mutating func step() {
        now = now + .milliseconds(Int.random(in: 0...4000, using: &random))
        switch Int.random(in: 0..<17, using: &random) {
        case 0..<4: lease(Int.random(in: 0..<7, using: &random))
        case 4..<7: release()
        case 7: settle()
        case 8: retire()
        case 9: giveUp()
        case 10: share()
        case 11, 12: finishEnding()
        case 13: doNonsense()
        case 14: useDirectly()
        case 15: leave()
        default: expire()
        }
        letNext()
    }

    private mutating func expect(_ condition: Bool, _ what: @autoclosure () -> String) {
        guard !condition, !hasFailed else { return }
        hasFailed = true
        Issue.record("\(what())")
    }

    /// What no pool tells a table changes nothing.
    private mutating func doNonsense() {
        let before = (table.count, table.waitingCount, table.endingCount)
        let id = Int.random(in: 0...200, using: &random)
        switch Int.random(in: 0..<7, using: &random) {
        case 0 where !open.contains(id):
            expect(table.releaseLease(id, at: now) == .unknown, "released, though not there")
        case 1 where calls.allSatisfy { $0.id != id || !$0.isExclusive } && !isOpening(id):
            expect(
                table.releaseLease(id, isExclusive: true, at: now) == .unknown, "released, though nobody has taken it")
        case 2 where opening[id] == nil: table.sessionOpened(id)
        case 3 where opening[id] == nil && !cut.contains(id): table.openingFailed(id)
        case 4 where !ending.contains(id): table.sessionEnded(id)
        case 5 where !open.contains(id) || ending.contains(id):
            expect(!table.retireSession(id), "closed twice")
            table.shareSession(id)
        case 6 where !queue.contains { $0.ticket == id }: expect(table.leaveQueue(id) == .queue, "nobody waits")
        default: break
        }
        expect(before == (table.count, table.waitingCount, table.endingCount), "nonsense has changed something")
    }

    private func isOpening(_ id: Int) -> Bool { opening[id] != nil }

    /// What a call does that need not wait.
    private mutating func useDirectly() {
        let key = Int.random(in: 0..<7, using: &random)
        if key >= Self.firstAsked, let id = table.takeReady(key, at: now) {
            take(.use(id), for: key, true)
        } else if let id = table.leaseReady(key, at: now) {
            take(.use(id), for: key, false)
        } else if let call = calls.randomElement(using: &random) {
            let isReady = !retired.contains(call.id) && !isOpening(call.id)
            expect(table.useSession(call.id, at: now) == isReady, "a second call on a session that is not ready")
            if isReady { calls.append(Call(id: call.id, key: call.key, isExclusive: false)) }
        }
    }

    /// A session that was closed is gone.
    private mutating func finishEnding() {
        if let id = cut.sorted().randomElement(using: &random) {
            cut.remove(id)
            table.openingFailed(id)
            return
        }
        guard let id = ending.subtracting(opening.keys).sorted().randomElement(using: &random) else { return }
        ending.remove(id)
        open.remove(id)
        table.sessionEnded(id)
    }

    private mutating func lease(_ key: Int) {
        let isExclusive = key >= Self.firstAsked && Bool.random(using: &random)
        if owner(of: key) != limits.lone { hasOthers = true }
        let after = Int.random(in: 0..<4, using: &random) == 0 ? losses.randomElement(using: &random) ?? 0 : 0
        let decision = table.requestLease(key, of: owner(of: key), isExclusive: isExclusive, after: after, at: now)
        let own = queue.count { owner(of: $0.key) == owner(of: key) }
        switch decision {
        case .wait(let ticket):
            #expect(ticket > lastTicket, "a ticket was used twice")
            lastTicket = ticket
            #expect(queue.count < limits.waiting && own < limits.waitingPerOwner)
            queue.append((ticket, key, isExclusive, after))
            checkNoRoom(for: key)
        case .full(let limit):
            #expect(limit == .queue)
            #expect(queue.count == limits.waiting || own == limits.waitingPerOwner)
            checkNoRoom(for: key)
        case .use, .join, .open:
            take(decision, for: key, isExclusive, after: after)
        }
    }

    private mutating func letNext() {
        while let (ticket, decision) = table.nextWaiting(at: now) {
            guard let index = queue.firstIndex(where: { $0.ticket == ticket }) else {
                Issue.record("a call was let that does not wait")
                return
            }
            let (_, key, isExclusive, after) = queue.remove(at: index)
            if case .open = decision {
                let isOvertaken = queue[..<index].contains { owner(of: $0.key) == owner(of: key) }
                #expect(!isOvertaken, "an earlier call of the same owner still waits")
            }
            take(decision, for: key, isExclusive, after: after)
        }
        while let idle = table.evictIdle() {
            let owner = keys[idle].map(owner) ?? -1
            let own = ending.count { keys[$0].map(self.owner) == owner }
            expect(
                ending.count < queue.count || own < queue.count { self.owner(of: $0.key) == owner },
                "more are ended than anybody wants")
            close(idle)
        }
        expect(limits.endingCounts || table.endingCount == 0, "what has no place is none")
        for call in queue { checkNoRoom(for: call.key, isSettled: true) }
    }

    private mutating func giveUp() {
        guard let index = queue.indices.randomElement(using: &random) else { return }
        let limit = table.leaveQueue(queue.remove(at: index).ticket)
        #expect(limit != .queue)
    }

    /// A call that waits must have a reason.
    ///
    /// - Parameter isSettled: whether room was made for those who wait.
    private mutating func checkNoRoom(for key: Int, isSettled: Bool = false) {
        let own = held(by: owner(of: key))
        let hasShare = own.count >= share(of: owner(of: key))
        let all = hasShare ? Set(own) : open
        expect(hasShare || open.count == limits.sessions, "waits, though there is room")
        let isAllUsed = all.allSatisfy { isUsed($0) || ending.contains($0) }
        if limits.endingCounts {
            expect(
                isAllUsed || !isSettled || !all.isDisjoint(with: ending), "waits, though one is idle and none is ending"
            )
        } else {
            let isOpeningKept = cut.count >= limits.sessions
            let isAllNeeded = all.allSatisfy { isUsed($0) || isOpeningKept && isOpening($0) }
            expect(isAllNeeded, "waits, though a session is idle")
        }
    }

    private func held(by owner: Int) -> [Int] { open.filter { keys[$0].map(self.owner) == owner } }

    /// - Parameter after: the last session that was there when the call lost the one that it had; 0 for any other call.
    private mutating func take(
        _ decision: SessionTable<Int, Int>.Decision, for key: Int, _ isExclusive: Bool, after: Int = 0
    ) {
        switch decision {
        case .use(let id):
            expect(id > after, "a session that is older than the loss")
            #expect(open.contains(id) && opening[id] == nil && !retired.contains(id))
            if isExclusive { expect(free(of: key).min() == id, "not the oldest of those that are free") }
            calls.append(Call(id: id, key: key, isExclusive: isExclusive))
            if isExclusive { #expect(!shared.contains(id), "a session that is for shared calls only") }
            #expect(calls.allSatisfy { $0.id != id || $0.key == key }, "two keys on one session")
        case .join(let id):
            expect(id > after, "a session that is older than the loss")
            #expect(opening[id] == key && !isExclusive)
            waiting.append(Call(id: id, key: key, isExclusive: isExclusive))
        case .open(let id, let evicted):
            if let evicted {
                expect(!limits.endingCounts, "opened where another still is")
                let isShareFull = held(by: owner(of: key)).count >= share(of: owner(of: key))
                #expect(open.count == limits.sessions || isShareFull, "evicted without need")
                #expect(!isShareFull || keys[evicted].map(owner) == owner(of: key), "another owner's was evicted")
                expect(!isOpening(evicted) || cut.count < limits.sessions, "more are cut than there may be sessions")
                close(evicted)
            }
            #expect(open.insert(id).inserted, "a number was used twice")
            keys[id] = key
            if after > 0, !isExclusive { replaced.formUnion(keys.filter { $0.value == key && $0.key <= after }.keys) }
            opening[id] = key
            waiting.append(Call(id: id, key: key, isExclusive: isExclusive))
            let own = held(by: owner(of: key)).count
            expect(
                own <= share(of: owner(of: key)) || evicted.map { keys[$0].map(owner) == owner(of: key) } == true,
                "more than the share")
        case .wait, .full:
            Issue.record("no decision")
        }
    }

    private mutating func release() {
        guard let index = calls.indices.randomElement(using: &random) else { return }
        let call = calls.remove(at: index)
        let isLast = !isUsed(call.id)
        let released = table.releaseLease(call.id, isExclusive: call.isExclusive, at: now)
        let isDue = isLast && retired.contains(call.id)
        let isOwed = isLast && !isDue && isOwed(owner(of: call.key))
        #expect(released == (isDue || isOwed ? .close : .kept))
        if released == .close { close(call.id) }
    }

    /// Whether an idle session of this owner goes to another one that waits.
    private func isOwed(_ owner: Int) -> Bool {
        guard owner == limits.lone, hasOthers else { return false }
        let own = held(by: owner).filter { !ending.contains($0) }.count
        let others = Dictionary(grouping: queue.filter { self.owner(of: $0.key) != owner }) { self.owner(of: $0.key) }
        let wanted = others.map { other, calls in
            let kinds = calls.count { $0.isExclusive } + Set(calls.filter { !$0.isExclusive }.map(\.key)).count
            let rest = held(by: other).filter { !ending.contains($0) }.count
            return min(kinds, max(0, share(of: other) - rest))
        }
        return own > limits.sessionsPerOwner && ending.count < wanted.reduce(0, +)
    }

    /// A call waits no longer for a session that is being opened.
    private mutating func leave() {
        guard let index = waiting.indices.randomElement(using: &random) else { return }
        let call = waiting.remove(at: index)
        let isLast = !isUsed(call.id)
        let released = table.releaseLease(call.id, isExclusive: call.isExclusive, at: now)
        #expect(released == (isLast && retired.contains(call.id) ? .close : .kept))
        if released == .close { close(call.id) }
    }

    /// Ends a handshake, well or not.
    private mutating func settle() {
        guard let id = opening.keys.sorted().randomElement(using: &random) else { return }
        opening[id] = nil
        if ending.remove(id) != nil {
            table.openingFailed(id)
            open.remove(id)
        } else if Bool.random(using: &random) {
            table.sessionOpened(id)
            calls += waiting.filter { $0.id == id }
        } else {
            table.openingFailed(id)
            open.remove(id)
        }
        waiting.removeAll { $0.id == id }
    }

    private mutating func retire() {
        guard let id = open.subtracting(ending).sorted().randomElement(using: &random) else { return }
        let isIdle = !isUsed(id)
        let isToClose = table.retireSession(id)
        #expect(isToClose == isIdle)
        retired.insert(id)
        losses.append(table.latestID)
        if isToClose { close(id) }
    }

    private mutating func share() {
        guard let id = open.subtracting(opening.keys).sorted().randomElement(using: &random) else { return }
        table.shareSession(id)
        shared.insert(id)
    }

    private mutating func expire() {
        let due = table.nextExpiry
        let expired = table.takeExpired(at: now)
        #expect(expired.isEmpty == (due.map { now < $0 } ?? true), "nextExpiry and expire disagree")
        for id in expired { close(id) }
    }

    private mutating func close(_ id: Int) {
        #expect(!isUsed(id), "a session in use is to be closed")
        // One that is being opened ends by the end of that, at its own time.
        if !limits.endingCounts, opening.removeValue(forKey: id) != nil { cut.insert(id) }
        #expect(open.contains(id) && !ending.contains(id), "closed twice")
        if limits.endingCounts { ending.insert(id) } else { open.remove(id) }
    }

    private func isUsed(_ id: Int) -> Bool {
        waiting.contains { $0.id == id } || calls.contains { $0.id == id }
    }

    func checkInvariants(_ step: Int) -> Bool {
        let current =
            calls.filter { !retired.contains($0.id) }
            + opening.filter { !retired.contains($0.key) && !ending.contains($0.key) }
            .map { Call(id: $0.key, key: $0.value, isExclusive: false) }
        let shared = current.filter { $0.key < Self.firstAsked && !replaced.contains($0.id) }
        let sessions = Dictionary(grouping: shared, by: \.key)
            .mapValues { Set($0.map(\.id)) }
        let taken = calls.filter(\.isExclusive).map(\.id)
        #expect(Set(taken).count == taken.count, "two exclusive calls on one session after step \(step)")
        let isOnePerKey = sessions.values.allSatisfy { $0.count == 1 }
        let isWithinLimit = table.count <= limits.sessions && table.count == open.count
        #expect(isOnePerKey, "two sessions for one key after step \(step)")
        #expect(
            isWithinLimit, "\(table.count) sessions, \(open.count) open, \(limits.sessions) allowed after step \(step)")
        return isOnePerKey && isWithinLimit
    }

    /// Everything ends, and time passes.
    mutating func end() {
        while !(opening.isEmpty && calls.isEmpty && queue.isEmpty) {
            settle()
            leave()
            release()
            finishEnding()
            letNext()
            if hasFailed { return }
        }
        now = now + Self.idleTimeout
        expire()
        while !ending.isEmpty { finishEnding() }
    }
}
