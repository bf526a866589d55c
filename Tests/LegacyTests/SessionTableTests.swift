import Reactor
import Testing

@testable import Legacy

/// Every transition, with a clock that the test moves.
@Suite struct SessionTableTests {
    private typealias Table = SessionTable<String>

    private static func at(_ seconds: Int64) -> Instant { Instant(nanoseconds: seconds * 1_000_000_000) }

    private func table(max: Int = 2, idle: Duration = .seconds(60)) -> Table {
        Table(maxSessions: max, idleTimeout: idle)
    }

    /// Opens a session for `key` and returns it with one lease on it.
    private func open(_ key: String, in table: inout Table, at seconds: Int64 = 0) throws -> Table.ID {
        guard case .open(let id, _) = table.lease(key, at: Self.at(seconds)) else {
            throw Unexpected(what: "no session was to be opened for \(key)")
        }
        table.opened(id)
        return id
    }

    private struct Unexpected: Error { let what: String }

    // MARK: One session a key

    @Test func manyThatAskAtOnceCauseOneHandshake() {
        var table = table()
        #expect(table.lease("a", at: Self.at(0)) == .open(1, evicted: nil))
        #expect(table.lease("a", at: Self.at(1)) == .join(1))
        #expect(table.lease("a", at: Self.at(2)) == .join(1))
        #expect(table.count == 1)
        table.opened(1)
        #expect(table.lease("a", at: Self.at(3)) == .use(1))
        #expect(table.count == 1)
    }

    @Test func keysHaveSessionsOfTheirOwn() throws {
        var table = table()
        let first = try open("a", in: &table)
        let second = try open("b", in: &table)
        #expect(first != second)
        #expect(table.lease("a", at: Self.at(1)) == .use(first))
        #expect(table.lease("b", at: Self.at(1)) == .use(second))
    }

    @Test func aFailedHandshakeFailsForAllThatWait() {
        var table = table(max: 1)
        #expect(table.lease("a", at: Self.at(0)) == .open(1, evicted: nil))
        #expect(table.lease("a", at: Self.at(0)) == .join(1))
        table.failed(1)
        #expect(table.count == 0)
        #expect(table.nextExpiry == nil)
        // Nobody has a lease to give back, and the place is free; the number is not used again.
        #expect(table.lease("b", at: Self.at(1)) == .open(2, evicted: nil))
    }

    @Test func thoseThatJoinedHoldLeasesToo() throws {
        var table = table(max: 1)
        #expect(table.lease("a", at: Self.at(0)) == .open(1, evicted: nil))
        #expect(table.lease("a", at: Self.at(0)) == .join(1))
        table.opened(1)
        #expect(table.release(1, at: Self.at(1)) == false)
        #expect(table.lease("b", at: Self.at(2)) == .full, "the call that joined still uses the session")
        #expect(table.release(1, at: Self.at(3)) == false)
        #expect(table.lease("b", at: Self.at(4)) == .open(2, evicted: 1))
    }

    // MARK: Room

    @Test func theIdleSessionThatWasUsedLongestAgoMakesRoom() throws {
        var table = table(max: 3)
        let sessions = try ["a", "b", "c"].map { try open($0, in: &table) }
        // The order of release counts, not the order of opening.
        for (session, time) in zip([sessions[1], sessions[2], sessions[0]], [10, 11, 12] as [Int64]) {
            #expect(table.release(session, at: Self.at(time)) == false)
        }
        #expect(table.lease("d", at: Self.at(20)) == .open(4, evicted: sessions[1]))
        #expect(table.count == 3)
        #expect(table.lease("b", at: Self.at(21)) == .open(5, evicted: sessions[2]))
        #expect(table.lease("a", at: Self.at(22)) == .use(sessions[0]))
    }

    @Test func aSessionInUseIsNeverEvicted() throws {
        var table = table(max: 2)
        let busy = try open("a", in: &table, at: 0)
        let idle = try open("b", in: &table, at: 100)
        #expect(table.release(idle, at: Self.at(101)) == false)
        #expect(table.lease("c", at: Self.at(102)) == .open(3, evicted: idle))
        #expect(table.lease("d", at: Self.at(103)) == .full, "one is in use, one is being opened")
        #expect(table.lease("a", at: Self.at(104)) == .use(busy))
        #expect(table.count == 2)
    }

    @Test func fullLeavesNothingBehind() throws {
        var table = table(max: 1)
        let only = try open("a", in: &table)
        for _ in 0..<3 { #expect(table.lease("b", at: Self.at(1)) == .full) }
        #expect(table.release(only, at: Self.at(2)) == false)
        #expect(table.lease("b", at: Self.at(3)) == .open(2, evicted: only))
    }

    @Test func aSessionThatIsBeingOpenedIsNotEvicted() {
        var table = table(max: 1)
        #expect(table.lease("a", at: Self.at(0)) == .open(1, evicted: nil))
        #expect(table.lease("b", at: Self.at(1000)) == .full)
        #expect(table.expire(at: Self.at(1000)) == [])
    }

    // MARK: Retiring

    @Test func anIdleSessionThatIsRetiredIsClosedAtOnce() throws {
        var table = table()
        let id = try open("a", in: &table)
        #expect(table.release(id, at: Self.at(1)) == false)
        #expect(table.retire(id) == true)
        #expect(table.count == 0)
    }

    @Test func aRetiredSessionIsClosedWithItsLastUse() throws {
        var table = table(max: 2)
        let lost = try open("a", in: &table)
        #expect(table.lease("a", at: Self.at(1)) == .use(lost))
        #expect(table.retire(lost) == false)
        #expect(table.retire(lost) == false, "a second time is harmless")
        #expect(table.lease("a", at: Self.at(2)) == .open(2, evicted: nil), "no new call gets the lost session")
        table.opened(2)
        #expect(table.lease("a", at: Self.at(3)) == .use(2))
        #expect(table.count == 2)
        #expect(table.lease("b", at: Self.at(4)) == .full, "a retired session takes room until it is closed")
        #expect(table.release(lost, at: Self.at(5)) == false)
        #expect(table.release(lost, at: Self.at(6)) == true)
        #expect(table.count == 1)
        #expect(table.lease("a", at: Self.at(7)) == .use(2), "the end of the old one leaves the new one alone")
    }

    @Test func retiringWhatIsGoneIsHarmless() throws {
        var table = table(max: 1)
        let first = try open("a", in: &table)
        #expect(table.release(first, at: Self.at(1)) == false)
        #expect(table.lease("b", at: Self.at(2)) == .open(2, evicted: first))
        #expect(table.retire(first) == false)
        #expect(table.retire(99) == false)
        #expect(table.count == 1)
    }

    @Test func aRetiredSessionDoesNotExpire() throws {
        var table = table()
        let id = try open("a", in: &table)
        #expect(table.retire(id) == false)
        #expect(table.nextExpiry == nil)
        #expect(table.expire(at: Self.at(1_000_000)) == [])
        #expect(table.release(id, at: Self.at(1_000_001)) == true)
    }

    // MARK: Time

    @Test func anIdleSessionExpiresAtItsTimeAndNotBefore() throws {
        var table = table(idle: .seconds(60))
        let id = try open("a", in: &table)
        #expect(table.nextExpiry == nil, "it is in use")
        #expect(table.expire(at: Self.at(1000)) == [])
        #expect(table.release(id, at: Self.at(1000)) == false)
        #expect(table.nextExpiry == Self.at(1060))
        #expect(table.expire(at: Instant(nanoseconds: Self.at(1060).nanoseconds - 1)) == [])
        #expect(table.expire(at: Self.at(1060)) == [id])
        #expect(table.expire(at: Self.at(1060)) == [])
        #expect(table.count == 0)
        #expect(table.nextExpiry == nil)
    }

    @Test func useMovesTheExpiryLater() throws {
        var table = table(idle: .seconds(60))
        let id = try open("a", in: &table)
        #expect(table.release(id, at: Self.at(0)) == false)
        #expect(table.lease("a", at: Self.at(59)) == .use(id))
        #expect(table.expire(at: Self.at(500)) == [])
        #expect(table.release(id, at: Self.at(500)) == false)
        #expect(table.nextExpiry == Self.at(560))
    }

    @Test func theNextExpiryIsThatOfTheOldest() throws {
        var table = table(max: 3, idle: .seconds(60))
        let sessions = try ["a", "b", "c"].map { try open($0, in: &table) }
        #expect(table.release(sessions[2], at: Self.at(1)) == false)
        #expect(table.release(sessions[0], at: Self.at(2)) == false)
        #expect(table.release(sessions[1], at: Self.at(3)) == false)
        #expect(table.nextExpiry == Self.at(61))
        #expect(table.expire(at: Self.at(62)).sorted() == [sessions[0], sessions[2]])
        #expect(table.nextExpiry == Self.at(63))
    }
}
