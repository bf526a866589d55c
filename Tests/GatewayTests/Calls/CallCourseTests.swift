import Legacy
import TestSupport
import Testing

@testable import Gateway

@Suite struct CallCourseTests {
    private typealias Step = CallCourse.Step

    @Test func nothingIsSentBeforeEverythingIsThere() {
        var course = CallCourse(isExclusive: true)
        let steps: [Step] = [.turn, .session, .offer, .pushChannel, .headerParameters, .logLevel, .dispatch]
        for step in steps {
            #expect(course.step == step)
            #expect(!course.isPrepared)
            course.finishStep()
        }
        #expect(course.step == .dispatch, "a call was sent that nothing has sent")
        course.holdCall()
        #expect(course.isPrepared)
        course.noteSending()
        #expect(course.step == .answer)
        course.endCall()
        #expect(course.step == .over)
    }

    @Test func aClientThatCameBackWhileTheCallWasPreparedHasNotLeft() {
        var course = CallCourse(isExclusive: true)
        course.finishStep()
        course.noteDesertion()
        guard case .again(.released) = course.failStep(.clientLeft, on: nil, isWanted: true, mayRepeat: false) else {
            Issue.record("the call ended")
            return
        }
        // It is the wait that was broken off, and not this one.
        guard case .over = course.failStep(.clientLeft, on: nil, isWanted: true, mayRepeat: false) else {
            Issue.record("the call goes on without end")
            return
        }
    }

    @Test func whatIsSentOnceMoreBeginsAnew() {
        var course = CallCourse(isExclusive: false)
        while course.step != .dispatch { course.finishStep() }
        course.noteSending()
        let lost = BackendError(.sessionLost, "")
        guard case .again(.retired) = course.failStep(lost, on: nil, isWanted: true, mayRepeat: false) else {
            Issue.record("no other attempt")
            return
        }
        #expect(course.step == .turn)
    }

    @Test func aCallThatIsToRunAgainMayLoseASessionAgain() {
        var course = CallCourse(isExclusive: true)
        for _ in 1...2 {
            course.beginSending(isPrepared: true)
            #expect(course.step == .held)
            course.noteSending()
            let lost = BackendError(.sessionLost, "")
            guard case .again = course.failStep(lost, on: nil, isWanted: true, mayRepeat: false) else {
                Issue.record("no other attempt")
                return
            }
        }
    }

    /// The first attempt broke off, the handshake of the next session asked something and took it back, and then there was no server.
    @Test func whatMayHaveRunStaysSoWhenTheCallIsSentAnew() {
        var course = CallCourse(isExclusive: true)
        while course.step != .dispatch { course.finishStep() }
        course.noteSending()
        guard case .again = course.failStep(BackendError(.noAnswer, ""), on: nil, isWanted: true, mayRepeat: true)
        else {
            Issue.record("no other attempt")
            return
        }
        course.beginSending(isPrepared: false)
        course.finishStep()
        let gone = BackendError(.unavailable, "")
        guard case .over(let told, _, _) = course.failStep(gone, on: nil, isWanted: true, mayRepeat: true) else {
            Issue.record("the call goes on without a server")
            return
        }
        #expect(told.kind == .noAnswer, "it may have run, and its client was told \(told.kind)")
    }

    /// The attempt after the first asked something before it was sent.
    @Test func whatMayHaveRunTwiceIsNotSentAgain() {
        var course = CallCourse(isExclusive: true)
        while course.step != .dispatch { course.finishStep() }
        course.noteSending()
        let broken = BackendError(.noAnswer, "")
        guard case .again(.givenUp) = course.failStep(broken, on: nil, isWanted: true, mayRepeat: true) else {
            Issue.record("no other attempt, or in a session in which the first may still run")
            return
        }
        course.beginSending(isPrepared: true)
        course.noteSending()
        guard case .over = course.failStep(broken, on: nil, isWanted: true, mayRepeat: true) else {
            Issue.record("a third run")
            return
        }
    }

    @Test(arguments: [true, false]) func somethingOfAnExclusiveCallMayStillRun(isExclusive: Bool) {
        for kind in [BackendError.Kind.silent, .overdue, .outcomeUnknown, .cancelled, .rejected(status: 400)] {
            var course = CallCourse(isExclusive: isExclusive)
            while course.step != .dispatch { course.finishStep() }
            // Before it is sent nothing runs.
            var unsent = course
            let error = BackendError(kind, "")
            guard
                case .over(_, .released, wasSent: false) = unsent.failStep(
                    error, on: nil, isWanted: true, mayRepeat: true)
            else {
                Issue.record("\(kind) before it was sent")
                continue
            }
            course.noteSending()
            guard
                case .over(_, let end, wasSent: true) = course.failStep(error, on: nil, isWanted: true, mayRepeat: true)
            else {
                Issue.record("\(kind) is no reason for another attempt")
                continue
            }
            #expect(end == (isExclusive ? .givenUp : .released))
        }
    }
}

/// Whatever happens to a call, in whatever order: what is true of its course all the time.
@Suite struct CallCourseRandomTests {
    @Test func itIsRepeatedOnceForEachReasonAndEnds() { RandomSteps.drive("courses of calls", Self.run) }

    private static let kinds: [BackendError.Kind] = [
        .sessionLost, .sessionLost, .noAnswer, .noAnswer, .cancelled, .silent, .unavailable, .busy, .outcomeUnknown,
        .rejected(status: 400),
    ]

    /// What is known of a call without its course.
    private struct Model {
        var step = 0
        var hasRepeatedLoss = false
        var hasRepeatedDoubt = false
        var wasTold = false
        var wasDeserted = false
        var isOver = false
        var wasSent = false
        /// Since before it was sent anew.
        var mayHaveRun = false

        mutating func restart() {
            step = 0
            wasTold = false
            wasDeserted = false
            wasSent = false
        }
    }

    private static func run(_ seed: UInt64) throws(Violation) -> Int {
        var random = SplitMix(state: seed)
        let isExclusive = random.below(2) == 0
        var course = CallCourse(isExclusive: isExclusive)
        var model = Model()
        var isWanted = true
        for event in 1...200 {
            switch random.below(8) {
            case 0...2 where !model.isOver && model.step < 6:
                course.finishStep()
                model.step += 1
            case 3 where !model.isOver && model.step == 6:
                if random.below(3) == 0 { course.holdCall() }
                course.noteSending()
                (model.wasSent, model.wasTold) = (true, false)
                model.step = 8
            case 4 where model.wasSent && !model.isOver:
                course.noteClientWasTold()
                model.wasTold = true
            case 5:
                isWanted.toggle()
                if !isWanted, !model.isOver, model.step < 7 {
                    course.noteDesertion()
                    model.wasDeserted = true
                }
            case 6 where !model.isOver:
                let error = BackendError(kinds[random.below(kinds.count)], "")
                let mayRepeat = random.below(2) == 0
                try fail(&course, &model, error, isWanted: isWanted, mayRepeat: mayRepeat, isExclusive)
            case 7 where model.isOver && isExclusive:
                // Its user did what the server wanted done first.
                course.beginSending(isPrepared: false)
                let mayHaveRun = model.mayHaveRun || model.hasRepeatedDoubt
                model = Model()
                model.mayHaveRun = mayHaveRun
            default: break
            }
            let expected = model.isOver ? Step.over.rawValue : model.step
            guard course.step.rawValue == expected else {
                throw Violation(what: "event \(event): \(course.step) instead of step \(expected)")
            }
            guard course.isPrepared == (model.isOver || model.wasSent) else {
                throw Violation(what: "event \(event): isPrepared \(course.isPrepared)")
            }
        }
        return 200
    }

    private typealias Step = CallCourse.Step

    private static func fail(
        _ course: inout CallCourse, _ model: inout Model, _ error: BackendError, isWanted: Bool, mayRepeat: Bool,
        _ isExclusive: Bool
    ) throws(Violation) {
        let returns = isWanted && model.wasDeserted && !model.wasSent && error.kind == .cancelled
        let repeatsLoss = error.kind == .sessionLost && !model.hasRepeatedLoss
        let repeatsDoubt = error.kind == .noAnswer && !model.hasRepeatedDoubt && !model.mayHaveRun && mayRepeat
        let repeats = isWanted && !model.wasTold && model.step > 1 && (repeatsLoss || repeatsDoubt)
        switch course.failStep(error, on: nil, isWanted: isWanted, mayRepeat: mayRepeat) {
        case .again(let end):
            guard returns || repeats else { throw Violation(what: "another attempt after \(error.kind)") }
            // What may still run in a session would ask there.
            let expected: CallCourse.SessionEnd =
                returns ? .released : repeatsLoss ? .retired : isExclusive && model.wasSent ? .givenUp : .doubted
            guard end == expected else { throw Violation(what: "\(end) before another attempt, after \(error.kind)") }
            if !returns {
                if repeatsLoss { model.hasRepeatedLoss = true } else { model.hasRepeatedDoubt = true }
            }
            model.restart()
        case .over(let told, let end, let wasSent):
            guard !returns, !repeats else { throw Violation(what: "no other attempt after \(error.kind)") }
            guard wasSent == model.wasSent else { throw Violation(what: "wasSent: \(wasSent)") }
            // That the request may have run is not unsaid by a later error.
            let expected =
                (model.hasRepeatedDoubt || model.mayHaveRun) && error.isBeforeDispatch ? .noAnswer : error.kind
            guard told.kind == expected else { throw Violation(what: "\(told.kind) instead of \(expected)") }
            let mayRun = isExclusive && model.wasSent && !error.isBeforeDispatch
            let expectedEnd: CallCourse.SessionEnd =
                error.kind == .sessionLost
                ? .retired : mayRun ? .givenUp : error.kind == .noAnswer ? .doubted : .released
            guard end == expectedEnd else { throw Violation(what: "\(end) at the end, after \(error.kind)") }
            model.isOver = true
        }
    }
}
