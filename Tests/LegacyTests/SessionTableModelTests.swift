import Reactor
import Testing

@testable import Legacy

/// The table against a model of the calls that use it, through random histories that are the same in each run.
@Suite struct SessionTableModelTests {
    @Test(arguments: 1...40)
    func invariantsHoldInAnyHistory(seed: UInt64) {
        var history = History(seed: seed)
        for step in 0..<2000 {
            history.step()
            guard history.checkInvariants(step) else { return }
        }
        history.end()
        #expect(history.table.waitingCount == 0, "nobody may be left waiting")
        #expect(history.table.count == 0, "every call has ended and time has passed: nothing may be left")
        #expect(history.open.isEmpty, "a session was neither closed nor kept")
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
    /// Sessions that the pool would have to close: opened or being opened, and not closed yet.
    private(set) var open: Set<Int> = []
    private let limits: SessionTable<Int, Int>.Limits
    /// Tickets of calls for which there was no room, in their order.
    private var queue: [(ticket: Int, key: Int, isExclusive: Bool)] = []
    private var lastTicket = 0
    private var random: SplitMix
    private var now = Instant(nanoseconds: 0)
    private var opening: [Int: Int] = [:]
    private var keys: [Int: Int] = [:]
    /// Calls with a lease on a session that is open, and those that wait for one.
    private var calls: [Call] = []
    private var waiting: [Call] = []
    private var retired: Set<Int> = []
    /// Sessions that asked when nobody could answer.
    private var shared: Set<Int> = []

    init(seed: UInt64) {
        random = SplitMix(state: seed)
        let sessions = Int.random(in: 1...5, using: &random)
        limits = SessionTable<Int, Int>.Limits(
            sessions: sessions, sessionsPerOwner: Int.random(in: 1...sessions, using: &random),
            waiting: Int.random(in: 1...6, using: &random), waitingPerOwner: Int.random(in: 1...4, using: &random))
        table = SessionTable(limits: limits, idleTimeout: Self.idleTimeout)
    }

    private func owner(of key: Int) -> Int { key % 3 }

    mutating func step() {
        now = now + .milliseconds(Int.random(in: 0...4000, using: &random))
        switch Int.random(in: 0..<12, using: &random) {
        case 0..<4: lease(Int.random(in: 0..<7, using: &random))
        case 4..<7: release()
        case 7: settle()
        case 8: retire()
        case 9: giveUp()
        case 10: share()
        default: expire()
        }
        letNext()
    }

    private mutating func lease(_ key: Int) {
        let isExclusive = key >= Self.firstAsked && Bool.random(using: &random)
        let decision = table.lease(key, of: owner(of: key), isExclusive: isExclusive, at: now)
        let own = queue.count { owner(of: $0.key) == owner(of: key) }
        switch decision {
        case .wait(let ticket):
            #expect(ticket > lastTicket, "a ticket was used twice")
            lastTicket = ticket
            #expect(queue.count < limits.waiting && own < limits.waitingPerOwner)
            queue.append((ticket, key, isExclusive))
            checkNoRoom(for: key)
        case .full(let limit):
            #expect(limit == .queue)
            #expect(queue.count == limits.waiting || own == limits.waitingPerOwner)
            checkNoRoom(for: key)
        case .use, .join, .open:
            take(decision, for: key, isExclusive)
        }
    }

    private mutating func letNext() {
        while let (ticket, decision) = table.next(at: now) {
            guard let index = queue.firstIndex(where: { $0.ticket == ticket }) else {
                Issue.record("a call was let that does not wait")
                return
            }
            let (_, key, isExclusive) = queue.remove(at: index)
            if case .open = decision {
                let isOvertaken = queue[..<index].contains { owner(of: $0.key) == owner(of: key) }
                #expect(!isOvertaken, "an earlier call of the same owner still waits")
            }
            take(decision, for: key, isExclusive)
        }
        for call in queue { checkNoRoom(for: call.key) }
    }

    private mutating func giveUp() {
        guard let index = queue.indices.randomElement(using: &random) else { return }
        let limit = table.giveUp(queue.remove(at: index).ticket)
        #expect(limit != .queue)
    }

    /// Whoever waits must have a reason.
    private func checkNoRoom(for key: Int) {
        let own = held(by: owner(of: key))
        if own.count >= limits.sessionsPerOwner {
            #expect(own.allSatisfy(isUsed), "waits, though a session of the owner is idle")
        } else {
            #expect(open.count == limits.sessions && open.allSatisfy(isUsed), "waits, though there is room")
        }
    }

    private func held(by owner: Int) -> [Int] { open.filter { keys[$0].map(self.owner) == owner } }

    private mutating func take(_ decision: SessionTable<Int, Int>.Decision, for key: Int, _ isExclusive: Bool) {
        switch decision {
        case .use(let id):
            #expect(open.contains(id) && opening[id] == nil && !retired.contains(id))
            calls.append(Call(id: id, key: key, isExclusive: isExclusive))
            if isExclusive { #expect(!shared.contains(id), "a session that is for shared calls only") }
            #expect(calls.allSatisfy { $0.id != id || $0.key == key }, "two keys on one session")
        case .join(let id):
            #expect(opening[id] == key && !isExclusive)
            waiting.append(Call(id: id, key: key, isExclusive: isExclusive))
        case .open(let id, let evicted):
            if let evicted {
                let isShareFull = held(by: owner(of: key)).count == limits.sessionsPerOwner
                #expect(open.count == limits.sessions || isShareFull, "evicted without need")
                #expect(!isShareFull || keys[evicted].map(owner) == owner(of: key), "another owner's was evicted")
                close(evicted)
            }
            #expect(open.insert(id).inserted, "a number was used twice")
            keys[id] = key
            opening[id] = key
            waiting.append(Call(id: id, key: key, isExclusive: isExclusive))
            #expect(held(by: owner(of: key)).count <= limits.sessionsPerOwner)
        case .wait, .full:
            Issue.record("no decision")
        }
    }

    private mutating func release() {
        guard let index = calls.indices.randomElement(using: &random) else { return }
        let call = calls.remove(at: index)
        let isLast = !isUsed(call.id)
        let isToClose = table.release(call.id, isExclusive: call.isExclusive, at: now)
        #expect(isToClose == (isLast && retired.contains(call.id)))
        if isToClose { close(call.id) }
    }

    /// Ends a handshake, well or not.
    private mutating func settle() {
        guard let id = opening.keys.sorted().randomElement(using: &random) else { return }
        opening[id] = nil
        if Bool.random(using: &random) {
            table.opened(id)
            calls += waiting.filter { $0.id == id }
        } else {
            table.failed(id)
            open.remove(id)
        }
        waiting.removeAll { $0.id == id }
    }

    private mutating func retire() {
        // A session notices that it is lost only once it is open.
        guard let id = open.subtracting(opening.keys).sorted().randomElement(using: &random) else { return }
        let isIdle = !isUsed(id)
        let isToClose = table.retire(id)
        #expect(isToClose == isIdle)
        retired.insert(id)
        if isToClose { close(id) }
    }

    private mutating func share() {
        guard let id = open.subtracting(opening.keys).sorted().randomElement(using: &random) else { return }
        table.share(id)
        shared.insert(id)
    }

    private mutating func expire() {
        let due = table.nextExpiry
        let expired = table.expire(at: now)
        #expect(expired.isEmpty == (due.map { now < $0 } ?? true), "nextExpiry and expire disagree")
        for id in expired { close(id) }
    }

    private mutating func close(_ id: Int) {
        #expect(!isUsed(id), "a session in use is to be closed")
        #expect(opening[id] == nil)
        #expect(open.remove(id) != nil, "closed twice")
    }

    private func isUsed(_ id: Int) -> Bool {
        opening[id] != nil || calls.contains { $0.id == id }
    }

    func checkInvariants(_ step: Int) -> Bool {
        let current =
            calls.filter { !retired.contains($0.id) }
            + opening.map { Call(id: $0.key, key: $0.value, isExclusive: false) }
        let sessions = Dictionary(grouping: current.filter { $0.key < Self.firstAsked }, by: \.key)
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
            release()
            letNext()
        }
        now = now + Self.idleTimeout
        expire()
    }
}

/// Random numbers that are the same in each run.
private struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }
}
