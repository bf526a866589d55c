import Reactor
import Testing

@testable import Gateway

/// Every transition, with a clock that the test moves.
@Suite struct EraTableTests {
    private static func at(_ seconds: Int64) -> Instant { Instant(nanoseconds: seconds * 1_000_000_000) }

    /// A table whose probe at the start found this.
    private func started(_ evidence: EraTable.Evidence, interval: Int = 1000) -> EraTable {
        var table = EraTable(fixed: nil, interval: .seconds(interval))
        #expect(table.start() == true)
        _ = table.ended(evidence, at: Self.at(0))
        return table
    }

    @Test(arguments: [Era.legacy, .modern]) func aConfiguredEraIsNeverAsked(era: Era) {
        var table = EraTable(fixed: era, interval: .seconds(1))
        #expect(table.start() == false)
        table.doubt()
        #expect(table.decide(at: Self.at(1_000_000)) == .use(era))
        #expect(table.era == era)
    }

    @Test func whatIsSettledNeedsNoDecision() {
        var table = EraTable(fixed: nil, interval: .seconds(100))
        #expect(table.settled(at: Self.at(0)) == nil)
        #expect(table.start() == true)
        #expect(table.settled(at: Self.at(0)) == nil)
        _ = table.ended(.modern, at: Self.at(0))
        #expect(table.settled(at: Self.at(99)) == .modern)
        #expect(table.settled(at: Self.at(100)) == nil)
        #expect(table.decide(at: Self.at(100)) == .useAndProbe(.modern))
        #expect(table.settled(at: Self.at(100)) == .modern)
        _ = table.ended(.none, at: Self.at(100))
        table.doubt()
        #expect(table.settled(at: Self.at(101)) == nil)
        #expect(EraTable(fixed: .legacy, interval: .seconds(1)).settled(at: Self.at(1000)) == .legacy)
    }

    @Test func requestsBeforeTheFirstVerdictWait() {
        var table = EraTable(fixed: nil, interval: .seconds(1000))
        #expect(table.start() == true)
        #expect(table.decide(at: Self.at(0)) == .wait)
        #expect(table.decide(at: Self.at(1)) == .wait)
        #expect(table.ended(.modern, at: Self.at(1)) == .modern)
        #expect(table.decide(at: Self.at(1)) == .use(.modern))
    }

    @Test func nothingKnownCountsAsLegacy() {
        var table = started(.none)
        #expect(table.era == .legacy && table.verdict == nil)
        // The first request asks again at once, later ones a second apart.
        #expect(table.decide(at: Self.at(0)) == .probe)
        #expect(table.decide(at: Self.at(0)) == .wait)
        #expect(table.ended(.none, at: Self.at(10)) == nil)
        #expect(table.decide(at: Self.at(10)) == .use(.legacy))
        #expect(table.decide(at: Self.at(11)) == .probe)
        #expect(table.ended(.legacy, at: Self.at(11)) == .legacy)
        #expect(table.decide(at: Self.at(12)) == .use(.legacy))
    }

    @Test func noEvidenceLeavesTheVerdictAsItWas() {
        var table = started(.modern)
        table.doubt()
        #expect(table.decide(at: Self.at(5)) == .probe)
        #expect(table.ended(.none, at: Self.at(5)) == nil)
        #expect(table.era == .modern)
        // It is still in doubt.
        #expect(table.decide(at: Self.at(5)) == .use(.modern))
        #expect(table.decide(at: Self.at(6)) == .probe)
        #expect(table.ended(.legacy, at: Self.at(6)) == .legacy)
        #expect(table.decide(at: Self.at(60)) == .use(.legacy))
    }

    @Test(arguments: [EraTable.Evidence.legacy, .modern]) func aProbeInTurnIsNotWaitedFor(evidence: EraTable.Evidence) {
        var table = started(.legacy, interval: 100)
        #expect(table.decide(at: Self.at(99)) == .use(.legacy))
        #expect(table.decide(at: Self.at(100)) == .useAndProbe(.legacy))
        #expect(table.decide(at: Self.at(100)) == .use(.legacy))
        let turned = table.ended(evidence, at: Self.at(101))
        let era: Era = evidence == .modern ? .modern : .legacy
        #expect(turned == (era == .modern ? .modern : nil))
        #expect(table.decide(at: Self.at(200)) == .use(era))
        #expect(table.decide(at: Self.at(201)) == .useAndProbe(era))
    }

    @Test func aProbeInTurnThatFindsNothingIsMadeAgainInTurn() {
        var table = started(.modern, interval: 100)
        #expect(table.decide(at: Self.at(100)) == .useAndProbe(.modern))
        #expect(table.ended(.none, at: Self.at(105)) == nil)
        #expect(table.decide(at: Self.at(204)) == .use(.modern))
        #expect(table.decide(at: Self.at(205)) == .useAndProbe(.modern))
    }

    @Test func doubtsThatOnlyConfirmAreAskedLessAndLess() {
        var table = started(.legacy, interval: 100_000)
        var now: Int64 = 1
        var spacings: [Int64] = []
        for _ in 0..<9 {
            table.doubt()
            let before = now
            while table.decide(at: Self.at(now)) != .probe { now += 1 }
            spacings.append(now - before)
            #expect(table.ended(.legacy, at: Self.at(now)) == nil)
        }
        #expect(spacings == [0, 2, 4, 8, 16, 32, 60, 60, 60])
        // One in turn, and one that brings news, make Remora quick again.
        table.doubt()
        #expect(table.decide(at: Self.at(now + 60)) == .probe)
        #expect(table.ended(.modern, at: Self.at(now + 60)) == .modern)
        table.doubt()
        #expect(table.decide(at: Self.at(now + 60)) == .use(.modern))
        #expect(table.decide(at: Self.at(now + 61)) == .probe)
    }

    @Test func aSilentServerIsAskedLessAndLess() {
        var table = EraTable(fixed: nil, interval: .seconds(100_000))
        #expect(table.start() == true)
        var now: Int64 = 0
        var spacings: [Int64] = []
        for _ in 0..<8 {
            #expect(table.ended(.silence, at: Self.at(now)) == nil)
            let before = now
            while table.decide(at: Self.at(now)) != .probe { now += 1 }
            spacings.append(now - before)
        }
        #expect(spacings == [1, 2, 4, 8, 16, 32, 60, 60])
        #expect(table.era == .legacy)
    }

    @Test func aDoubtDuringAProbeOutlivesIt() {
        var table = started(.legacy)
        table.doubt()
        #expect(table.decide(at: Self.at(10)) == .probe)
        table.doubt()
        #expect(table.ended(.legacy, at: Self.at(10)) == nil)
        #expect(table.decide(at: Self.at(100)) == .probe)
        #expect(table.ended(.modern, at: Self.at(100)) == .modern)
        #expect(table.decide(at: Self.at(200)) == .use(.modern))
    }

    @Test func aDoubtDuringAProbeInTurnDoesNotStopRequests() {
        var table = started(.legacy, interval: 100)
        #expect(table.decide(at: Self.at(100)) == .useAndProbe(.legacy))
        table.doubt()
        #expect(table.decide(at: Self.at(100)) == .use(.legacy))
    }
}
