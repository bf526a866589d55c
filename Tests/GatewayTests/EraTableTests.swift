import Legacy
import Reactor
import Testing

@testable import Gateway

/// Every transition, with a clock that the test moves.
@Suite struct EraTableTests {
    private static func at(_ seconds: Int64) -> Instant { Instant(nanoseconds: seconds * 1_000_000_000) }

    /// A table whose first question found this.
    private func started(_ evidence: EraEvidence, interval: Int = 1000) -> EraTable {
        var table = EraTable(interval: .seconds(interval))
        #expect(table.sessionOpened(at: Self.at(0)) == .ask)
        table.questionEnded(evidence, at: Self.at(0))
        return table
    }

    @Test func theFirstSessionAsksAndOthersWait() {
        var table = EraTable(interval: .seconds(100))
        #expect(table.verdictEnd(at: Self.at(0)) == nil)
        #expect(table.sessionOpened(at: Self.at(0)) == .ask)
        #expect(table.sessionOpened(at: Self.at(0)) == .wait)
        #expect(table.handshakeRefused(at: Self.at(0)) == .wait)
        table.questionEnded(.legacy, at: Self.at(1))
        #expect(table.verdict == .legacy)
        #expect(table.verdictEnd(at: Self.at(2)) == Self.at(101))
        #expect(table.sessionOpened(at: Self.at(2)) == .trust)
    }

    @Test func aModernServerIsSettledUntilTheIntervalIsOver() {
        var table = started(.modern, interval: 100)
        #expect(table.verdict == .modern)
        #expect(table.verdictEnd(at: Self.at(99)) == Self.at(100))
        #expect(table.verdictEnd(at: Self.at(100)) == nil)
        #expect(table.sessionOpened(at: Self.at(100)) == .ask)
        table.questionEnded(.modern, at: Self.at(100))
        #expect(table.verdictEnd(at: Self.at(101)) == Self.at(200))
    }

    @Test func withoutAVerdictEachRefusalAsks() {
        var table = EraTable(interval: .seconds(100))
        for second in 0..<3 {
            #expect(table.handshakeRefused(at: Self.at(Int64(second))) == .ask)
            table.questionEnded(.none, at: Self.at(Int64(second)))
            #expect(table.verdict == nil && table.verdictEnd(at: Self.at(Int64(second))) == nil)
        }
    }

    @Test func noEvidenceLeavesTheVerdictAsItWas() {
        var table = started(.modern)
        table.doubtEra()
        #expect(table.verdictEnd(at: Self.at(5)) == nil)
        #expect(table.handshakeRefused(at: Self.at(5)) == .ask)
        table.questionEnded(.none, at: Self.at(5))
        #expect(table.verdict == .modern)
        // It is still in doubt, and not asked for a second.
        #expect(table.verdictEnd(at: Self.at(5)) == Self.at(6))
        #expect(table.handshakeRefused(at: Self.at(5)) == .trust)
        #expect(table.verdictEnd(at: Self.at(6)) == nil)
        #expect(table.handshakeRefused(at: Self.at(6)) == .ask)
        table.questionEnded(.legacy, at: Self.at(6))
        #expect(table.verdict == .legacy)
    }

    @Test func aDoubtedLegacyServerIsAskedByTheNextSession() {
        var table = started(.legacy)
        table.doubtEra()
        // Requests go on: it takes a session to tell.
        #expect(table.verdictEnd(at: Self.at(5)) != nil)
        #expect(table.known == nil)
        #expect(table.sessionOpened(at: Self.at(5)) == .ask)
        table.questionEnded(.modern, at: Self.at(5))
        #expect(table.verdict == .modern && table.known != nil)
    }

    /// A session that is opened too soon after a question answers no doubt, and may be the last one for long.
    @Test func aDoubtThatASessionLeavesOpenIsLookedIntoWhenItMayBe() {
        var table = EraTable(interval: .seconds(1000))
        #expect(table.sessionOpened(at: Instant(nanoseconds: 0)) == .ask)
        table.questionEnded(.legacy, at: Instant(nanoseconds: 0))
        table.doubtEra()
        #expect(table.sessionOpened(at: Instant(nanoseconds: 500_000_000)) == .trust)
        #expect(table.verdictEnd(at: Instant(nanoseconds: 500_000_000)) == Self.at(1))
        #expect(table.verdictEnd(at: Self.at(1)) == nil)
        #expect(table.sessionOpened(at: Self.at(1)) == .ask)
        table.questionEnded(.modern, at: Self.at(1))
        #expect(table.verdict == .modern && table.verdictEnd(at: Self.at(2)) == Self.at(1001))
    }

    @Test func doubtsThatOnlyConfirmAreAskedLessAndLess() {
        var table = started(.legacy, interval: 100_000)
        var now: Int64 = 1
        var spacings: [Int64] = []
        for _ in 0..<9 {
            table.doubtEra()
            let before = now
            while table.sessionOpened(at: Self.at(now)) != .ask { now += 1 }
            spacings.append(now - before)
            table.questionEnded(.legacy, at: Self.at(now))
        }
        #expect(spacings == [0, 2, 4, 8, 16, 32, 60, 60, 60])
        // One that brings news makes Remora quick again.
        table.doubtEra()
        #expect(table.sessionOpened(at: Self.at(now + 60)) == .ask)
        table.questionEnded(.modern, at: Self.at(now + 60))
        table.doubtEra()
        #expect(table.verdictEnd(at: Self.at(now + 60)) == Self.at(now + 61))
        #expect(table.verdictEnd(at: Self.at(now + 61)) == nil)
    }

    @Test func aSilentServerIsAskedLessAndLess() {
        var table = EraTable(interval: .seconds(100_000))
        var now: Int64 = 0
        var spacings: [Int64] = []
        #expect(table.handshakeRefused(at: Self.at(0)) == .ask)
        for _ in 0..<8 {
            table.questionEnded(.silence, at: Self.at(now))
            let before = now
            while table.handshakeRefused(at: Self.at(now)) != .ask { now += 1 }
            spacings.append(now - before)
        }
        #expect(spacings == [1, 2, 4, 8, 16, 32, 60, 60])
        #expect(table.verdict == nil)
    }

    @Test func aDoubtDuringAQuestionOutlivesIt() {
        var table = started(.legacy)
        table.doubtEra()
        #expect(table.sessionOpened(at: Self.at(10)) == .ask)
        table.doubtEra()
        table.questionEnded(.legacy, at: Self.at(10))
        #expect(table.known == nil)
        #expect(table.sessionOpened(at: Self.at(100)) == .ask)
    }

    @Test func whatNeedsNoQuestionIsAVerdictToo() {
        var table = EraTable(interval: .seconds(100))
        table.showedLegacy(at: Self.at(0))
        #expect(table.verdict == .legacy && table.verdictEnd(at: Self.at(1)) == Self.at(100))
    }

    @Test func whatCannotBeAskedInTurnIsLeftToTheNextSession() {
        var table = started(.legacy, interval: 100)
        #expect(table.verdictEnd(at: Self.at(100)) == nil)
        table.postponeQuestion(at: Self.at(100))
        #expect(table.verdictEnd(at: Self.at(100)) == Self.at(200))
        #expect(table.sessionOpened(at: Self.at(101)) == .ask)
    }

    @Test func anotherTableBeginsWithWhatIsKnown() {
        let table = EraTable(interval: .seconds(100), known: started(.modern, interval: 100).known)
        #expect(table.verdict == .modern && table.verdictEnd(at: Self.at(1)) == Self.at(100))
    }
}
