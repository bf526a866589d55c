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
        #expect(history.table.count == 0, "every call has ended and time has passed: nothing may be left")
        #expect(history.open.isEmpty, "a session was neither closed nor kept")
    }
}

/// Calls, sessions and the clock, as the pool sees them.
private struct History {
    private struct Call {
        let id: Int
        let key: Int
    }

    private static let idleTimeout = Duration.seconds(30)

    private(set) var table: SessionTable<Int>
    /// Sessions that the pool would have to close: opened or being opened, and not closed yet.
    private(set) var open: Set<Int> = []
    private let maxSessions: Int
    private var random: SplitMix
    private var now = Instant(nanoseconds: 0)
    private var opening: [Int: Int] = [:]
    /// Calls with a lease on a session that is open, and those that wait for one.
    private var calls: [Call] = []
    private var waiting: [Call] = []
    private var retired: Set<Int> = []

    init(seed: UInt64) {
        random = SplitMix(state: seed)
        maxSessions = Int.random(in: 1...5, using: &random)
        table = SessionTable(maxSessions: maxSessions, idleTimeout: Self.idleTimeout)
    }

    mutating func step() {
        now = now + .milliseconds(Int.random(in: 0...4000, using: &random))
        switch Int.random(in: 0..<10, using: &random) {
        case 0..<4: lease(Int.random(in: 0..<7, using: &random))
        case 4..<7: release()
        case 7: settle()
        case 8: retire()
        default: expire()
        }
    }

    private mutating func lease(_ key: Int) {
        switch table.lease(key, at: now) {
        case .use(let id):
            #expect(open.contains(id) && opening[id] == nil && !retired.contains(id))
            calls.append(Call(id: id, key: key))
            #expect(calls.allSatisfy { $0.id != id || $0.key == key }, "two keys on one session")
        case .join(let id):
            #expect(opening[id] == key)
            waiting.append(Call(id: id, key: key))
        case .open(let id, let evicted):
            if let evicted {
                #expect(open.count == maxSessions, "evicted without need")
                close(evicted)
            }
            #expect(open.insert(id).inserted, "a number was used twice")
            opening[id] = key
            waiting.append(Call(id: id, key: key))
        case .full:
            #expect(open.count == maxSessions)
            #expect(open.allSatisfy(isUsed), "full, though a session is idle")
        }
    }

    private mutating func release() {
        guard let index = calls.indices.randomElement(using: &random) else { return }
        let call = calls.remove(at: index)
        let isLast = !isUsed(call.id)
        let isToClose = table.release(call.id, at: now)
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
        let current = calls.filter { !retired.contains($0.id) } + opening.map { Call(id: $0.key, key: $0.value) }
        let sessions = Dictionary(grouping: current, by: \.key).mapValues { Set($0.map(\.id)) }
        let isOnePerKey = sessions.values.allSatisfy { $0.count == 1 }
        let isWithinLimit = table.count <= maxSessions && table.count == open.count
        #expect(isOnePerKey, "two sessions for one key after step \(step)")
        #expect(isWithinLimit, "\(table.count) sessions, \(open.count) open, \(maxSessions) allowed after step \(step)")
        return isOnePerKey && isWithinLimit
    }

    /// Everything ends, and time passes.
    mutating func end() {
        while !opening.isEmpty { settle() }
        while !calls.isEmpty { release() }
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
