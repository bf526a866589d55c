import Reactor
import Testing

@testable import Legacy

/// Every transition, with a clock that the test moves.
@Suite struct SessionTableTests {
    private typealias Table = SessionTable<String, String>

    private static func at(_ seconds: Int64) -> Instant { Instant(nanoseconds: seconds * 1_000_000_000) }

    private func table(
        max: Int = 2, share: Int = .max, waiting: Int = 100, waitingPerOwner: Int = 100, idle: Duration = .seconds(60)
    ) -> Table {
        Table(
            limits: Table.Limits(
                sessions: max, sessionsPerOwner: share, waiting: waiting, waitingPerOwner: waitingPerOwner),
            idleTimeout: idle)
    }

    /// A key is the name of its owner, or that with a digit behind it.
    private func lease(_ key: String, in table: inout Table, at seconds: Int64) -> Table.Decision {
        table.requestLease(key, of: String(key.prefix(1)), at: Self.at(seconds))
    }

    /// The calls that need not wait any more.
    private func next(in table: inout Table, at seconds: Int64) -> [Granted] {
        var granted: [Granted] = []
        while let (ticket, decision) = table.nextWaiting(at: Self.at(seconds)) {
            granted.append(Granted(ticket: ticket, decision: decision))
        }
        return granted
    }

    private struct Granted: Equatable {
        let ticket: Table.Ticket
        let decision: Table.Decision
    }

    /// Opens a session for `key` and returns it with one lease on it.
    private func open(_ key: String, in table: inout Table, at seconds: Int64 = 0) throws -> Table.ID {
        guard case .open(let id, _) = lease(key, in: &table, at: seconds) else {
            throw Unexpected(what: "no session was to be opened for \(key)")
        }
        table.sessionOpened(id)
        return id
    }

    private struct Unexpected: Error { let what: String }

    // MARK: What calls wait for

    @Test func aShortageIsOfAShareOrOfAll() throws {
        var table = table(max: 3, share: 2)
        _ = try open("a", in: &table)
        _ = try open("a2", in: &table)
        #expect(table.shortageLimit(of: "a") == nil)
        #expect(lease("a3", in: &table, at: 1) == .wait(1))
        #expect(table.shortageLimit(of: "a") == .share)
        // What another gives back is of no use to it.
        #expect(table.shortageLimit(of: "b") == nil)
        _ = try open("b", in: &table)
        #expect(table.shortageLimit(of: "b") == nil)
        #expect(lease("c", in: &table, at: 1) == .wait(2))
        #expect(table.shortageLimit(of: "b") == .sessions)
        #expect(table.shortageLimit(of: "a") == .share)
        _ = table.leaveQueue(2)
        _ = table.leaveQueue(1)
        #expect(table.shortageLimit(of: "a") == nil)
    }

    // MARK: One session a key

    @Test func manyThatAskAtOnceCauseOneHandshake() {
        var table = table()
        #expect(lease("a", in: &table, at: 0) == .open(1, evicted: nil))
        #expect(lease("a", in: &table, at: 1) == .join(1))
        #expect(lease("a", in: &table, at: 2) == .join(1))
        #expect(table.count == 1)
        table.sessionOpened(1)
        #expect(lease("a", in: &table, at: 3) == .use(1))
        #expect(table.count == 1)
    }

    @Test func keysHaveSessionsOfTheirOwn() throws {
        var table = table()
        let first = try open("a", in: &table)
        let second = try open("b", in: &table)
        #expect(first != second)
        #expect(lease("a", in: &table, at: 1) == .use(first))
        #expect(lease("b", in: &table, at: 1) == .use(second))
    }

    @Test func aFailedHandshakeFailsForAllThatWait() {
        var table = table(max: 1)
        #expect(lease("a", in: &table, at: 0) == .open(1, evicted: nil))
        #expect(lease("a", in: &table, at: 0) == .join(1))
        table.openingFailed(1)
        #expect(table.count == 0)
        #expect(table.nextExpiry == nil)
        // There is no lease to give back, and the place is free; the number is not used again.
        #expect(lease("b", in: &table, at: 1) == .open(2, evicted: nil))
    }

    @Test func thoseThatJoinedHoldLeasesToo() throws {
        var table = table(max: 1)
        #expect(lease("a", in: &table, at: 0) == .open(1, evicted: nil))
        #expect(lease("a", in: &table, at: 0) == .join(1))
        table.sessionOpened(1)
        #expect(table.releaseLease(1, at: Self.at(1)) == .kept)
        #expect(lease("b", in: &table, at: 2) == .wait(1), "the call that joined still uses the session")
        #expect(table.releaseLease(1, at: Self.at(3)) == .kept)
        #expect(next(in: &table, at: 3) == [Granted(ticket: 1, decision: .open(2, evicted: 1))])
    }

    // MARK: Exclusive calls

    private func take(_ key: String, in table: inout Table, at seconds: Int64) -> Table.Decision {
        table.requestLease(key, of: String(key.prefix(1)), isExclusive: true, at: Self.at(seconds))
    }

    @Test func exclusiveCallsHaveASessionEach() {
        var table = table(max: 3)
        #expect(take("a", in: &table, at: 0) == .open(1, evicted: nil))
        #expect(take("a", in: &table, at: 0) == .open(2, evicted: nil), "not the one that is opened for another")
        table.sessionOpened(1)
        table.sessionOpened(2)
        #expect(take("a", in: &table, at: 1) == .open(3, evicted: nil))
        table.sessionOpened(3)
        #expect(take("a", in: &table, at: 2) == .wait(1))
        #expect(table.releaseLease(2, isExclusive: true, at: Self.at(3)) == .kept)
        #expect(next(in: &table, at: 3) == [Granted(ticket: 1, decision: .use(2))])
    }

    @Test func sharedCallsUseOneThatAnExclusiveCallHas() {
        var table = table(max: 1)
        #expect(take("a", in: &table, at: 0) == .open(1, evicted: nil))
        #expect(lease("a", in: &table, at: 0) == .join(1))
        table.sessionOpened(1)
        #expect(lease("a", in: &table, at: 1) == .use(1))
        #expect(take("a", in: &table, at: 2) == .wait(1))
        #expect(table.releaseLease(1, isExclusive: true, at: Self.at(3)) == .kept)
        #expect(next(in: &table, at: 3) == [Granted(ticket: 1, decision: .use(1))], "shared calls are no hindrance")
    }

    @Test func theOldestSessionThatIsFreeIsTakenFirst() throws {
        var table = table(max: 3)
        let ids = try [open("a", in: &table), open("b", in: &table)]
        #expect(take("a", in: &table, at: 1) == .use(ids[0]))
        #expect(take("a", in: &table, at: 2) == .open(3, evicted: nil))
        table.sessionOpened(3)
        for id in [ids[0], 3] { #expect(table.releaseLease(id, isExclusive: true, at: Self.at(3)) == .kept) }
        #expect(take("b", in: &table, at: 4) == .use(ids[1]))
        #expect(take("a", in: &table, at: 4) == .use(ids[0]))
        #expect(take("a", in: &table, at: 4) == .use(3))
        #expect(take("a", in: &table, at: 4) == .wait(1))
    }

    @Test func theOneOwnerMayHaveAllUntilAnotherComes() throws {
        var table = SessionTable<String, String>(
            limits: .init(sessions: 4, sessionsPerOwner: 2, lone: "a", waiting: 10, waitingPerOwner: 10),
            idleTimeout: .seconds(60))
        for id in 1...4 {
            #expect(take("a", in: &table, at: 0) == .open(id, evicted: nil))
            table.sessionOpened(id)
        }
        #expect(take("a", in: &table, at: 1) == .wait(1))
        #expect(take("b", in: &table, at: 1) == .wait(2))
        // More than its share: what it gives back goes to the other, though its own call has waited for longer.
        #expect(table.releaseLease(1, isExclusive: true, at: Self.at(2)) == .close)
        #expect(next(in: &table, at: 2) == [Granted(ticket: 2, decision: .open(5, evicted: nil))])
        table.sessionOpened(5)
        #expect(table.releaseLease(2, isExclusive: true, at: Self.at(3)) == .kept)
        #expect(next(in: &table, at: 3) == [Granted(ticket: 1, decision: .use(2))])
        #expect(take("a", in: &table, at: 4) == .wait(3))
        #expect(table.releaseLease(3, isExclusive: true, at: Self.at(4)) == .kept)
        #expect(table.releaseLease(4, isExclusive: true, at: Self.at(4)) == .kept)
        #expect(next(in: &table, at: 4) == [Granted(ticket: 3, decision: .use(3))])
        #expect(take("b", in: &table, at: 5) == .open(6, evicted: 4))
        #expect(take("a", in: &table, at: 6) == .wait(4), "it has its share")
    }

    @Test func otherLimitsHoldFromNowOn() throws {
        var table = table(max: 3)
        let ids = try [open("a", in: &table), open("b", in: &table), open("c", in: &table)]
        for id in ids.prefix(2) { #expect(table.releaseLease(id, at: Self.at(Int64(id))) == .kept) }
        let fewer = SessionTable<String, String>.Limits(
            sessions: 1, sessionsPerOwner: 1, waiting: 10, waitingPerOwner: 10)
        #expect(table.applyLimits(fewer, idleTimeout: .seconds(1)) == [ids[0], ids[1]])
        #expect(table.count == 1, "one in use is left alone")
        #expect(table.releaseLease(ids[2], at: Self.at(4)) == .kept)
        #expect(table.nextExpiry == Self.at(5))
    }

    @Test func aSessionThatAskedNobodyServesSharedCallsOnly() throws {
        var table = table()
        let first = try open("a", in: &table)
        table.shareSession(first)
        #expect(lease("a", in: &table, at: 1) == .use(first))
        #expect(take("a", in: &table, at: 2) == .open(2, evicted: nil))
        table.sessionOpened(2)
        table.shareSession(2)
        #expect(table.releaseLease(2, isExclusive: true, at: Self.at(3)) == .kept)
        #expect(table.takeReady("a", at: Self.at(4)) == nil)
    }

    @Test func anotherSessionIsSharedWhenTheSharedOneIsLost() throws {
        var table = table(max: 3)
        let shared = try open("a", in: &table)
        #expect(take("a", in: &table, at: 1) == .use(shared))
        #expect(take("a", in: &table, at: 1) == .open(2, evicted: nil))
        table.sessionOpened(2)
        #expect(table.releaseLease(2, isExclusive: true, at: Self.at(2)) == .kept)
        #expect(table.retireSession(shared) == false)
        #expect(lease("a", in: &table, at: 3) == .use(2))
        #expect(
            table.releaseLease(shared, isExclusive: true, at: Self.at(4)) == .kept, "the first call shares it still")
        #expect(table.releaseLease(shared, at: Self.at(4)) == .close)
    }

    @Test func anIdleSessionOfAnotherKeyMakesRoomForAnExclusiveCall() throws {
        var table = table(max: 2)
        let other = try open("b", in: &table)
        #expect(table.releaseLease(other, at: Self.at(1)) == .kept)
        #expect(take("a", in: &table, at: 2) == .open(2, evicted: nil))
        #expect(take("a", in: &table, at: 3) == .open(3, evicted: other))
        #expect(take("a", in: &table, at: 4) == .wait(1))
    }

    // MARK: Room

    @Test func theIdleSessionThatWasUsedLongestAgoMakesRoom() throws {
        var table = table(max: 3)
        let sessions = try ["a", "b", "c"].map { try open($0, in: &table) }
        // The order of release counts, not the order of opening.
        for (session, time) in zip([sessions[1], sessions[2], sessions[0]], [10, 11, 12] as [Int64]) {
            #expect(table.releaseLease(session, at: Self.at(time)) == .kept)
        }
        #expect(lease("d", in: &table, at: 20) == .open(4, evicted: sessions[1]))
        #expect(table.count == 3)
        #expect(lease("b", in: &table, at: 21) == .open(5, evicted: sessions[2]))
        #expect(lease("a", in: &table, at: 22) == .use(sessions[0]))
    }

    @Test func aSessionInUseIsNeverEvicted() throws {
        var table = table(max: 2)
        let busy = try open("a", in: &table, at: 0)
        let idle = try open("b", in: &table, at: 100)
        #expect(table.releaseLease(idle, at: Self.at(101)) == .kept)
        #expect(lease("c", in: &table, at: 102) == .open(3, evicted: idle))
        #expect(lease("d", in: &table, at: 103) == .wait(1), "one is in use, one is being opened")
        #expect(lease("a", in: &table, at: 104) == .use(busy))
        #expect(table.count == 2)
    }

    @Test func aCallThatGivesUpLeavesNothingBehind() throws {
        var table = table(max: 1)
        let only = try open("a", in: &table)
        for ticket in 1...3 {
            #expect(lease("b", in: &table, at: 1) == .wait(ticket))
            #expect(table.leaveQueue(ticket) == .sessions)
        }
        #expect(table.waitingCount == 0)
        #expect(table.releaseLease(only, at: Self.at(2)) == .kept)
        #expect(next(in: &table, at: 2) == [])
        #expect(lease("b", in: &table, at: 3) == .open(2, evicted: only))
    }

    @Test func aSessionThatIsBeingOpenedIsNotEvicted() {
        var table = table(max: 1)
        #expect(lease("a", in: &table, at: 0) == .open(1, evicted: nil))
        #expect(lease("b", in: &table, at: 1000) == .wait(1))
        #expect(table.takeExpired(at: Self.at(1000)) == [])
    }

    // MARK: Shares

    @Test func aSessionThatIsBeingOpenedForNobodyMakesRoomFirst() throws {
        var table = table()
        let idle = try open("a", in: &table)
        #expect(table.releaseLease(idle, at: Self.at(1)) == .kept)
        #expect(lease("b", in: &table, at: 2) == .open(2, evicted: nil))
        #expect(lease("b", in: &table, at: 2) == .join(2))
        #expect(table.releaseLease(2, at: Self.at(3)) == .kept)
        #expect(lease("c", in: &table, at: 3) == .open(3, evicted: idle))
        table.sessionOpened(3)
        #expect(table.releaseLease(3, at: Self.at(3)) == .kept)
        #expect(table.releaseLease(2, at: Self.at(4)) == .kept)
        #expect(lease("d", in: &table, at: 5) == .open(4, evicted: 2), "nothing is lost with it")
        // Whatever becomes of its handshake.
        table.sessionOpened(2)
        table.openingFailed(2)
        #expect(table.count == 2)
    }

    @Test func aSessionThatWasOpenedForNobodyIsThereForTheNext() {
        var table = table()
        #expect(lease("a", in: &table, at: 0) == .open(1, evicted: nil))
        #expect(table.releaseLease(1, at: Self.at(1)) == .kept)
        #expect(lease("a", in: &table, at: 2) == .join(1))
        #expect(table.releaseLease(1, at: Self.at(3)) == .kept)
        table.sessionOpened(1)
        #expect(lease("a", in: &table, at: 4) == .use(1))
        #expect(table.releaseLease(1, at: Self.at(5)) == .kept)
        #expect(table.takeExpired(at: Self.at(65)) == [1])
    }

    @Test func oneOwnerCannotHaveAll() throws {
        var table = table(max: 4, share: 2)
        for key in ["a1", "a2"] { _ = try open(key, in: &table) }
        #expect(lease("a3", in: &table, at: 1) == .wait(1))
        #expect(lease("a1", in: &table, at: 1) == .use(1), "what it has, it may use")
        #expect(lease("b1", in: &table, at: 2) == .open(3, evicted: nil), "who waits for a share holds up nobody")
        #expect(table.leaveQueue(1) == .share)
    }

    @Test func anOwnerWithItsShareLosesAnIdleSessionOfItsOwn() throws {
        var table = table(max: 4, share: 2)
        let other = try open("b1", in: &table)
        #expect(table.releaseLease(other, at: Self.at(0)) == .kept)
        let sessions = try ["a1", "a2"].map { try open($0, in: &table) }
        #expect(table.releaseLease(sessions[1], at: Self.at(5)) == .kept)
        #expect(table.releaseLease(sessions[0], at: Self.at(6)) == .kept)
        #expect(lease("a3", in: &table, at: 7) == .open(4, evicted: sessions[1]), "its oldest, though b1 is older")
        #expect(lease("b1", in: &table, at: 7) == .use(other))
    }

    @Test func aShareIsFreeAgainWhenASessionHasGone() throws {
        for end in ["failed", "retired", "expired"] {
            var table = table(max: 4, share: 1)
            #expect(lease("a1", in: &table, at: 0) == .open(1, evicted: nil))
            #expect(lease("a2", in: &table, at: 0) == .wait(1))
            switch end {
            case "failed":
                table.openingFailed(1)
            case "retired":
                table.sessionOpened(1)
                #expect(table.retireSession(1) == false)
                #expect(next(in: &table, at: 1) == [], "a retired session still counts")
                #expect(table.releaseLease(1, at: Self.at(1)) == .close)
            default:
                table.sessionOpened(1)
                #expect(table.releaseLease(1, at: Self.at(1)) == .kept)
                #expect(table.takeExpired(at: Self.at(61)) == [1])
            }
            #expect(next(in: &table, at: 61) == [Granted(ticket: 1, decision: .open(2, evicted: nil))], "\(end)")
        }
    }

    // MARK: Waiting

    @Test func ownersTakeTurnsAndTheirCallsKeepTheirOrder() throws {
        var table = table(max: 1, share: 1)
        var last = try open("x", in: &table)
        // The first owner asks three times before the others ask at all.
        for (index, key) in ["a1", "a2", "a3", "b1", "b2", "c1"].enumerated() {
            #expect(lease(key, in: &table, at: Int64(index)) == .wait(index + 1))
        }
        var order: [Int] = []
        for second in 10..<16 {
            #expect(table.releaseLease(last, at: Self.at(Int64(second))) == .kept)
            let granted = next(in: &table, at: Int64(second))
            guard granted.count == 1, case .open(let id, last) = granted[0].decision else {
                throw Unexpected(what: "\(granted)")
            }
            order.append(granted[0].ticket)
            table.sessionOpened(id)
            last = id
        }
        #expect(order == [1, 4, 6, 2, 5, 3])
        #expect(table.waitingCount == 0)
    }

    @Test func whoWaitsForAShareDoesNotHoldUpTheNext() throws {
        var table = table(max: 2, share: 1)
        let first = try open("a1", in: &table)
        let second = try open("b1", in: &table)
        #expect(lease("a2", in: &table, at: 1) == .wait(1))
        #expect(lease("c1", in: &table, at: 2) == .wait(2))
        #expect(table.retireSession(second) == false)
        #expect(table.releaseLease(second, at: Self.at(3)) == .close)
        #expect(next(in: &table, at: 3) == [Granted(ticket: 2, decision: .open(3, evicted: nil))])
        #expect(table.releaseLease(first, at: Self.at(4)) == .kept)
        #expect(next(in: &table, at: 4) == [Granted(ticket: 1, decision: .open(4, evicted: first))])
    }

    @Test func thoseOfOneKeyGoOnTogether() throws {
        var table = table(max: 1)
        let only = try open("a", in: &table)
        #expect(lease("b", in: &table, at: 1) == .wait(1))
        #expect(lease("c", in: &table, at: 1) == .wait(2))
        #expect(lease("b", in: &table, at: 2) == .wait(3))
        #expect(table.releaseLease(only, at: Self.at(3)) == .kept)
        #expect(
            next(in: &table, at: 3) == [
                Granted(ticket: 1, decision: .open(2, evicted: only)), Granted(ticket: 3, decision: .join(2)),
            ])
        table.sessionOpened(2)
        #expect(lease("b", in: &table, at: 4) == .use(2))
        for _ in 0..<3 { #expect(table.releaseLease(2, at: Self.at(5)) == .kept) }
        #expect(next(in: &table, at: 5) == [Granted(ticket: 2, decision: .open(3, evicted: 2))])
    }

    @Test func theQueueHasAnEnd() throws {
        var table = table(max: 1, waiting: 3, waitingPerOwner: 2)
        let only = try open("x", in: &table)
        #expect(lease("a1", in: &table, at: 1) == .wait(1))
        #expect(lease("a2", in: &table, at: 1) == .wait(2))
        #expect(lease("a3", in: &table, at: 1) == .full(.queue), "of one owner")
        #expect(lease("b1", in: &table, at: 1) == .wait(3))
        #expect(lease("c1", in: &table, at: 1) == .full(.queue), "of all")
        #expect(lease("x", in: &table, at: 1) == .use(only), "who needs no room does not wait")
        #expect(table.leaveQueue(2) == .sessions)
        #expect(lease("a3", in: &table, at: 2) == .wait(4))
        #expect(table.waitingCount == 3)
    }

    @Test func whoGivesUpIsNotCalled() throws {
        var table = table(max: 1)
        let only = try open("x", in: &table)
        for (index, key) in ["a", "b", "c"].enumerated() {
            #expect(lease(key, in: &table, at: 1) == .wait(index + 1))
        }
        #expect(table.leaveQueue(1) == .sessions)
        #expect(table.releaseLease(only, at: Self.at(2)) == .kept)
        #expect(next(in: &table, at: 2) == [Granted(ticket: 2, decision: .open(2, evicted: only))])
    }

    // MARK: Retiring

    @Test func anIdleSessionThatIsRetiredIsClosedAtOnce() throws {
        var table = table()
        let id = try open("a", in: &table)
        #expect(table.releaseLease(id, at: Self.at(1)) == .kept)
        #expect(table.retireSession(id) == true)
        #expect(table.count == 0)
    }

    @Test func aRetiredSessionIsClosedWithItsLastUse() throws {
        var table = table(max: 2)
        let lost = try open("a", in: &table)
        #expect(lease("a", in: &table, at: 1) == .use(lost))
        #expect(table.retireSession(lost) == false)
        #expect(table.retireSession(lost) == false, "a second time is harmless")
        #expect(lease("a", in: &table, at: 2) == .open(2, evicted: nil), "no new call gets the lost session")
        table.sessionOpened(2)
        #expect(lease("a", in: &table, at: 3) == .use(2))
        #expect(table.count == 2)
        #expect(lease("b", in: &table, at: 4) == .wait(1), "a retired session takes room until it is closed")
        #expect(table.releaseLease(lost, at: Self.at(5)) == .kept)
        #expect(table.releaseLease(lost, at: Self.at(6)) == .close)
        #expect(table.count == 1)
        #expect(lease("a", in: &table, at: 7) == .use(2), "the end of the old one leaves the new one alone")
    }

    @Test func retiringWhatIsGoneIsHarmless() throws {
        var table = table(max: 1)
        let first = try open("a", in: &table)
        #expect(table.releaseLease(first, at: Self.at(1)) == .kept)
        #expect(lease("b", in: &table, at: 2) == .open(2, evicted: first))
        #expect(table.retireSession(first) == false)
        #expect(table.retireSession(99) == false)
        #expect(table.count == 1)
    }

    @Test func aRetiredSessionDoesNotExpire() throws {
        var table = table()
        let id = try open("a", in: &table)
        #expect(table.retireSession(id) == false)
        #expect(table.nextExpiry == nil)
        #expect(table.takeExpired(at: Self.at(1_000_000)) == [])
        #expect(table.releaseLease(id, at: Self.at(1_000_001)) == .close)
    }

    // MARK: Sessions that may be lost with another

    @Test func aCallThatLostItsSessionGetsANewerOne() throws {
        var table = table(max: 10)
        for id in 1...3 {
            #expect(table.requestLease("a", of: "a", isExclusive: true, at: Self.at(0)) == .open(id, evicted: nil))
            table.sessionOpened(id)
        }
        for id in 2...3 { #expect(table.releaseLease(id, isExclusive: true, at: Self.at(1)) == .kept) }
        let loss = table.latestID
        #expect(table.retireSession(1) == false)
        #expect(table.releaseLease(1, isExclusive: true, at: Self.at(1)) == .close)
        #expect(
            table.requestLease("a", of: "a", isExclusive: true, after: loss, at: Self.at(2)) == .open(4, evicted: nil))
        table.sessionOpened(4)
        // What serves another call as well.
        #expect(table.releaseLease(4, isExclusive: true, at: Self.at(3)) == .kept)
        #expect(table.requestLease("a", of: "a", isExclusive: true, after: loss, at: Self.at(3)) == .use(4))
        // Calls that have lost nothing use what there is.
        #expect(table.requestLease("a", of: "a", isExclusive: true, at: Self.at(4)) != .open(5, evicted: nil))
        // So does one that asks for nothing, once it has lost its own.
        #expect(table.requestLease("a", of: "a", after: loss, at: Self.at(4)) == .open(5, evicted: nil))
        #expect(table.requestLease("a", of: "a", after: loss, at: Self.at(4)) == .join(5))
    }

    @Test func aCallThatWaitsForANewerSessionGetsNoOther() throws {
        var table = table(max: 1)
        let old = try open("a", in: &table)
        #expect(table.requestLease("a", of: "a", after: table.latestID, at: Self.at(1)) == .wait(1))
        #expect(lease("a", in: &table, at: 1) == .use(old))
        #expect(next(in: &table, at: 1).isEmpty)
        #expect(table.releaseLease(old, at: Self.at(2)) == .kept)
        #expect(table.releaseLease(old, at: Self.at(2)) == .kept)
        #expect(next(in: &table, at: 2) == [Granted(ticket: 1, decision: .open(2, evicted: old))])
    }

    // MARK: Time

    @Test func anIdleSessionExpiresAtItsTimeAndNotBefore() throws {
        var table = table(idle: .seconds(60))
        let id = try open("a", in: &table)
        #expect(table.nextExpiry == nil, "it is in use")
        #expect(table.takeExpired(at: Self.at(1000)) == [])
        #expect(table.releaseLease(id, at: Self.at(1000)) == .kept)
        #expect(table.nextExpiry == Self.at(1060))
        #expect(table.takeExpired(at: Instant(nanoseconds: Self.at(1060).nanoseconds - 1)) == [])
        #expect(table.takeExpired(at: Self.at(1060)) == [id])
        #expect(table.takeExpired(at: Self.at(1060)) == [])
        #expect(table.count == 0)
        #expect(table.nextExpiry == nil)
    }

    @Test func useMovesTheExpiryLater() throws {
        var table = table(idle: .seconds(60))
        let id = try open("a", in: &table)
        #expect(table.releaseLease(id, at: Self.at(0)) == .kept)
        #expect(lease("a", in: &table, at: 59) == .use(id))
        #expect(table.takeExpired(at: Self.at(500)) == [])
        #expect(table.releaseLease(id, at: Self.at(500)) == .kept)
        #expect(table.nextExpiry == Self.at(560))
    }

    @Test func theNextExpiryIsThatOfTheOldest() throws {
        var table = table(max: 3, idle: .seconds(60))
        let sessions = try ["a", "b", "c"].map { try open($0, in: &table) }
        #expect(table.releaseLease(sessions[2], at: Self.at(1)) == .kept)
        #expect(table.releaseLease(sessions[0], at: Self.at(2)) == .kept)
        #expect(table.releaseLease(sessions[1], at: Self.at(3)) == .kept)
        #expect(table.nextExpiry == Self.at(61))
        #expect(table.takeExpired(at: Self.at(62)).sorted() == [sessions[0], sessions[2]])
        #expect(table.nextExpiry == Self.at(63))
    }

    // MARK: Sessions that take their time to end

    private func processes(max: Int = 2, share: Int = .max) -> Table {
        Table(
            limits: Table.Limits(
                sessions: max, sessionsPerOwner: share, waiting: 100, waitingPerOwner: 100, endingCounts: true),
            idleTimeout: .seconds(60))
    }

    @Test func aPlaceIsFreeWhenItsSessionHasEnded() throws {
        var table = processes(max: 1)
        let first = try open("a", in: &table, at: 0)
        #expect(table.releaseLease(first, at: Self.at(1)) == .kept)
        #expect(lease("b", in: &table, at: 2) == .wait(1))
        #expect(table.evictIdle() == first)
        #expect(table.evictIdle() == nil)
        #expect(next(in: &table, at: 3).isEmpty, "its process is still there")
        #expect(table.count == 1 && table.endingCount == 1)
        // The call that had it waits as well.
        #expect(lease("a", in: &table, at: 3) == .wait(2))
        #expect(table.evictIdle() == nil)
        table.sessionEnded(first)
        #expect(next(in: &table, at: 4) == [Granted(ticket: 1, decision: .open(2, evicted: nil))])
        #expect(table.count == 1 && table.endingCount == 0)
    }

    @Test func noMoreAreEndedThanAreNeeded() throws {
        var table = processes(max: 3)
        let all = try ["a", "b", "c"].map { try open($0, in: &table, at: 0) }
        for id in all { #expect(table.releaseLease(id, at: Self.at(Int64(id))) == .kept) }
        // Ten calls of one key share a session.
        for ticket in 1...10 { #expect(lease("d", in: &table, at: 10) == .wait(ticket)) }
        #expect(table.evictIdle() == all[0])
        #expect(table.evictIdle() == nil)
        // Another caller's need another, and of its own where it has its share.
        #expect(lease("e", in: &table, at: 10) == .wait(11))
        #expect(table.evictIdle() == all[1])
        #expect(table.evictIdle() == nil)
    }

    @Test func whoHasItsShareWaitsForItsOwn() throws {
        var table = processes(max: 4, share: 1)
        let mine = try open("a1", in: &table, at: 0)
        #expect(table.releaseLease(mine, at: Self.at(1)) == .kept)
        #expect(lease("a2", in: &table, at: 2) == .wait(1))
        #expect(table.evictIdle() == mine)
        #expect(table.evictIdle() == nil)
        #expect(next(in: &table, at: 3).isEmpty)
        // There is room for another.
        #expect(lease("b", in: &table, at: 3) == .open(2, evicted: nil))
        table.sessionEnded(mine)
        #expect(next(in: &table, at: 4) == [Granted(ticket: 1, decision: .open(3, evicted: nil))])
    }

    @Test func whatHasEndedOtherwiseHasItsPlaceToo() throws {
        var table = processes(max: 1)
        let lost = try open("a", in: &table, at: 0)
        #expect(table.retireSession(lost) == false)
        #expect(lease("b", in: &table, at: 1) == .wait(1))
        #expect(table.releaseLease(lost, at: Self.at(2)) == .close)
        #expect(next(in: &table, at: 2).isEmpty)
        table.sessionEnded(lost)
        #expect(next(in: &table, at: 3) == [Granted(ticket: 1, decision: .open(2, evicted: nil))])
        // Of a handshake that has failed nothing is left.
        table.openingFailed(2)
        #expect(table.count == 0)
    }

    // MARK: What no pool does

    @Test func whatIsNotThereIsNoTrap() throws {
        var table = table(max: 1)
        #expect(table.releaseLease(7, at: Self.at(0)) == .unknown)
        #expect(table.leaveQueue(7) == .queue)
        table.sessionOpened(7)
        table.openingFailed(7)
        table.sessionEnded(7)
        table.shareSession(7)
        #expect(table.retireSession(7) == false)
        let id = try open("a", in: &table, at: 0)
        #expect(table.releaseLease(id, isExclusive: true, at: Self.at(0)) == .unknown, "it was not taken")
        table.openingFailed(id)
        table.sessionEnded(id)
        table.sessionOpened(id)
        #expect(table.count == 1)
        #expect(table.releaseLease(id, at: Self.at(0)) == .kept)
        #expect(table.releaseLease(id, at: Self.at(0)) == .unknown)
        #expect(lease("a", in: &table, at: 1) == .use(id))
    }

    @Test func whatIsLostWhileItIsBeingOpenedIsNotUsed() {
        var table = table(max: 1)
        #expect(lease("a", in: &table, at: 0) == .open(1, evicted: nil))
        #expect(table.retireSession(1) == false)
        table.sessionOpened(1)
        #expect(lease("a", in: &table, at: 1) == .wait(1))
        #expect(table.releaseLease(1, at: Self.at(2)) == .close)
        #expect(next(in: &table, at: 2) == [Granted(ticket: 1, decision: .open(2, evicted: nil))])
    }
}
