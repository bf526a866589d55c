import Reactor
import TestSupport
import Testing

@testable import Legacy

@Suite struct BackendChoiceTests {
    private static let start = Instant(nanoseconds: 1_000_000_000_000)

    private static func after(_ milliseconds: Int) -> Instant { start + .milliseconds(milliseconds) }

    /// Chooses so many times, and stays.
    private static func entered(_ choice: inout BackendChoice, _ count: Int) -> [Int] {
        (0..<count).map { _ in
            let index = choice.nextCopy()!
            choice.addLoad(index)
            return index
        }
    }

    @Test func theOneWithTheFewestIsNext() {
        var choice = BackendChoice(count: 3)
        #expect(Self.entered(&choice, 6) == [0, 1, 2, 0, 1, 2])
        choice.removeLoad(1)
        #expect(choice.nextCopy() == 1)
        choice.removeLoad(0)
        choice.removeLoad(0)
        #expect(choice.nextCopy() == 0)
    }

    @Test func amongEqualsEachHasItsTurnAlsoWhereNothingStays() {
        var choice = BackendChoice(count: 3, first: 4)
        #expect((0..<5).map { _ in choice.nextCopy() } == [1, 2, 0, 1, 2])
    }

    @Test func oneThatFailsGetsNothingNewWhateverItsLoad() {
        var choice = BackendChoice(count: 2)
        _ = Self.entered(&choice, 4)
        choice.removeLoad(0)
        choice.noteFailure(0, at: Self.start)
        #expect(choice.isAside(0) && choice.hasAlternative(to: 0) && !choice.hasAlternative(to: 1))
        #expect(Self.entered(&choice, 3) == [1, 1, 1])
    }

    @Test func whereAllAreAsideTheOneThatIsTriedFirstIsNext() {
        var choice = BackendChoice(count: 3)
        choice.noteFailure(1, at: Self.after(0))
        choice.noteFailure(0, at: Self.after(100))
        choice.noteFailure(2, at: Self.after(200))
        #expect(choice.nextCopy() == 1)
        #expect(choice.nextCopy(except: [1]) == 0)
        #expect(choice.nextCopy(except: [0, 1, 2]) == nil)
        #expect(!choice.hasAlternative(to: 0))
    }

    @Test func aLoneOneIsAlwaysNext() {
        var choice = BackendChoice(count: 1)
        choice.noteFailure(0, at: Self.start)
        #expect(choice.nextCopy() == 0)
        #expect(!choice.hasAlternative(to: 0))
    }

    @Test func thePauseGrowsWithEachFailureInARow() {
        var choice = BackendChoice(count: 2)
        var now = Self.start
        for pause in [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000] {
            choice.noteFailure(0, at: now)
            #expect(choice.nextTrial == now + .milliseconds(pause))
            #expect(choice.toTry(at: now + .milliseconds(pause - 1)) == [])
            now = now + .milliseconds(pause)
            #expect(choice.toTry(at: now) == [0])
            #expect(choice.toTry(at: now) == [], "it is tried once")
            #expect(choice.nextTrial == nil)
        }
    }

    @Test func whatFailsWhileItIsAsideSaysNothingNew() {
        var choice = BackendChoice(count: 2)
        choice.noteFailure(0, at: Self.after(0))
        for _ in 0..<100 { choice.noteFailure(0, at: Self.after(100)) }
        #expect(choice.nextTrial == Self.after(500))
    }

    @Test func onlyASessionMakesTheFailuresForgotten() {
        var choice = BackendChoice(count: 2)
        choice.noteFailure(0, at: Self.after(0))
        #expect(choice.toTry(at: Self.after(500)) == [0])
        choice.noteConnection(0)
        #expect(!choice.isAside(0) && choice.nextCopy() == 0)
        choice.noteFailure(0, isReached: true, at: Self.after(600))
        #expect(choice.nextTrial == Self.after(1600))
        #expect(choice.toTry(at: Self.after(1600)) == [0])
        choice.noteSession(0)
        choice.noteFailure(0, at: Self.after(2000))
        #expect(choice.nextTrial == Self.after(2500))
    }

    @Test func aConnectionDoesNotSpeakForACopyThatGivesNoSessions() {
        var choice = BackendChoice(count: 2)
        choice.noteFailure(0, isReached: true, at: Self.start)
        choice.noteConnection(0)
        #expect(choice.isAside(0))
        _ = choice.toTry(at: Self.after(500))
        choice.noteConnection(0)
        #expect(!choice.isAside(0), "its pause is over: a session tries it")
        choice.noteFailure(1, at: Self.start)
        choice.noteConnection(1)
        #expect(!choice.isAside(1))
    }

    /// Whatever happens, loads add up, an excluded one is never chosen, and one that is aside only where all are.
    @Test(arguments: 1...20) func randomly(seed: UInt64) {
        var random = SplitMix(state: seed)
        let count = Int.random(in: 1...5, using: &random)
        var choice = BackendChoice(count: count)
        var loads = Array(repeating: 0, count: count)
        var now = Self.start
        for _ in 0..<2000 {
            let index = Int.random(in: 0..<count, using: &random)
            now = now + .milliseconds(Int.random(in: 0...2000, using: &random))
            switch Int.random(in: 0..<7, using: &random) {
            case 0: choice.noteFailure(index, isReached: .random(using: &random), at: now)
            case 1: choice.noteConnection(index)
            case 2: choice.noteSession(index)
            case 3: for each in choice.toTry(at: now) where Bool.random(using: &random) { choice.noteConnection(each) }
            case 4 where loads[index] > 0:
                choice.removeLoad(index)
                loads[index] -= 1
            default:
                let excluded = Set((0..<count).filter { _ in Bool.random(using: &random) })
                guard let next = choice.nextCopy(except: excluded) else {
                    #expect(excluded.count == count)
                    continue
                }
                #expect(!excluded.contains(next))
                let rest = (0..<count).filter { !excluded.contains($0) }
                if choice.isAside(next) {
                    #expect(rest.allSatisfy { choice.isAside($0) })
                } else {
                    #expect(rest.allSatisfy { choice.isAside($0) || loads[$0] >= loads[next] })
                }
                choice.addLoad(next)
                loads[next] += 1
            }
            #expect(loads == (0..<count).map { choice.copyLoad(of: $0) })
        }
    }
}
