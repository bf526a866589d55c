import JSONText
import MCP
import Testing

@testable import Gateway

private typealias Stage = ParkedCallStage

/// The rows of docs/translation.md §6.
@Suite struct ParkedCallTests {
    private static let accepted = #"{"elicitation-1":{"action":"accept","content":{}}}"#
    private static let delivered = #"reply {"jsonrpc":"2.0","id":0,"result":{"action":"accept","content":{}}}"#
    private static let cancelled = #"reply {"jsonrpc":"2.0","id":0,"result":{"action":"cancel"}}"#

    // MARK: Without questions

    @Test func aCallWithoutQuestionsLeavesNothing() throws {
        var stage = try Stage()
        #expect(stage.deadline == nil)
        #expect(try stage.says(Stage.progress(1)) == ["forward 1: \(Stage.progress(1))"])
        #expect(stage.answers() == ["release", "finish 1: done", "forget"])
        #expect(stage.placesTaken == 0)
        #expect(stage.deadline == nil)
        #expect(try stage.retries("{}") == ["reject 2: lost"])
    }

    // MARK: Ids that come again

    /// Servers use ids again, and wait for an answer to each question (the published Python SDK takes ids from addresses of objects).
    @Test func anIDThatWasAnsweredMeansAnotherQuestion() throws {
        var stage = try Stage()
        for round in 1...3 {
            #expect(try stage.asks(Stage.form("0"), resumptions: 0) == [])
            #expect(stage.waits(ms: 30) == ["ask \(round): elicitation-\(round) (\(round))"])
            #expect(
                try stage.retries(#"{"elicitation-\#(round)":{"action":"accept","content":{}}}"#) == [Self.delivered])
        }
        // After a stream was taken up again, the same words are the same question, once more.
        #expect(try stage.asks(Stage.form("0"), resumptions: 1) == [])
        #expect(stage.isRunning)
        // What came after it is none of that.
        #expect(try stage.asks(Stage.page("0"), resumptions: 1) == [])
        #expect(stage.waits(ms: 30) == ["ask 4: elicitation-4 (4)"])
        #expect(try stage.retries(#"{"elicitation-4":{"action":"decline"}}"#).count == 1)
        #expect(try stage.asks(Stage.page("0"), resumptions: 1) == [])
        #expect(!stage.isRunning)
    }

    /// The server has one question of an id at most: consent to the first is none to the second.
    @Test func otherWordsUnderAnOpenIDTakeTheFirstQuestionBack() throws {
        var stage = try Stage()
        #expect(try stage.asks(Stage.form("0")) == [])
        #expect(stage.waits(ms: 30) == ["ask 1: elicitation-1 (1)"])
        #expect(try stage.asks(Stage.page("0")) == [])
        #expect(try stage.retries(Self.accepted) == [])
        #expect(stage.waits(ms: 150) == ["ask 2: elicitation-2 (2)"])
    }

    // MARK: Another replica

    @Test func whatAnotherReplicaHasIsLeftWithoutAWord() throws {
        var stage = try Stage.parked()
        #expect(stage.isAnothers() == ["leave session", "forget"])
        #expect(stage.isAnothers() == [] && stage.deadline == nil)
        #expect(try stage.retries(Self.accepted) == ["reject 2: lost"])
        // One with a client that waits has been claimed here.
        stage = try Stage.parked()
        #expect(try stage.retries(Self.accepted) == [Self.delivered])
        #expect(stage.isAnothers() == [])
    }

    @Test func aCallIsDesertedWhenItsTimeIsOver() throws {
        var stage = try Stage.parked()
        #expect(!stage.isDeserted(after: 599) && stage.isDeserted(after: 600))
        #expect(try stage.retries(Self.accepted) == [Self.delivered])
        #expect(!stage.isDeserted(after: 600))
    }

    @Test func onlyWhatTheServerWouldHearIsClaimed() throws {
        var stage = try Stage.parked()
        #expect(try stage.takes(Self.accepted))
        #expect(try !stage.takes("{}") && !stage.takes(#"{"elicitation-2":{"action":"accept","content":{}}}"#))
        _ = try stage.retries(Self.accepted)
        #expect(try !stage.takes(Self.accepted))
        // One that has not run is sent when its client comes back, whatever that says.
        stage = try Stage(phase: .predispatch)
        #expect(try stage.asks(Stage.form("0")) == [])
        _ = stage.waits(ms: 30)
        #expect(try stage.takes("{}"))
        _ = stage.makesRoom()
        #expect(try !stage.takes("{}"))
    }

    // MARK: Becoming a task

    /// Only while the server works and nothing is asked.
    @Test func whenACallMayBecomeATask() throws {
        var stage = try Stage()
        #expect(stage.isRunning)
        #expect(try stage.asks(Stage.form("0")) == [])
        #expect(!stage.isRunning)
        #expect(stage.waits(ms: 30) == ["ask 1: elicitation-1 (1)"])
        #expect(!stage.isRunning)
        #expect(try stage.retries(Self.accepted) == [Self.delivered])
        #expect(stage.isRunning)
        // What was asked keeps its key and its id.
        var questions = stage.taskQuestions
        let again = try Envelope(JSONDocument(Array(Stage.form("0").utf8)))
        #expect(questions.addQuestion(again, resumptions: 2) == nil && questions.open.isEmpty)
        let next = try Envelope(JSONDocument(Array(Stage.form("1").utf8)))
        #expect(questions.addQuestion(next, resumptions: 2) == nil && questions.open.map(\.key) == ["elicitation-2"])
        // It ends with the task as its answer, which is kept for a retry.
        #expect(stage.answers() == ["release", "finish 2: done"])
        #expect(!stage.isRunning && stage.isDone)
        #expect(try stage.retries(Self.accepted) == ["finish 3: done"])
        #expect(stage.waits(ms: 600_000) == ["forget"])
        #expect(!stage.isRunning)
    }

    @Test func aPageThatIsOpenKeepsACallFromBecomingATask() throws {
        var stage = try Stage()
        #expect(try stage.asks(Stage.page("0")) == [])
        #expect(stage.waits(ms: 30) == ["ask 1: elicitation-1 (1)"])
        _ = try stage.retries(#"{"elicitation-1":{"action":"accept"}}"#)
        #expect(!stage.isRunning)
    }

    @Test func aClientThatLeavesBeforeAnyQuestionCancels() throws {
        var stage = try Stage()
        #expect(stage.leaves(1) == ["cancel"])
        #expect(stage.deadline == .seconds(5))
        #expect(stage.answers() == ["release", "forget"])
    }

    // MARK: Asking

    @Test func questionsOfOneMomentAreOneRound() throws {
        var stage = try Stage()
        #expect(try stage.asks(Stage.form("0")) == [])
        #expect(stage.waits(ms: 29) == [])
        #expect(try stage.asks(Stage.sampling("1")) == [])
        #expect(stage.waits(ms: 29) == [])
        #expect(stage.waits(ms: 1) == ["ask 1: elicitation-1 sampling-2 (1)"])
        #expect(stage.placesTaken == 1)
        #expect(stage.deadline == .seconds(600))
    }

    @Test func aServerThatDoesNotStopToAskIsCutShort() throws {
        var stage = try Stage()
        for id in 0..<7 {
            #expect(try stage.asks(Stage.roots("\(id)")) == [])
            #expect(stage.waits(ms: 20) == [])
        }
        #expect(stage.deadline == .milliseconds(10))
        #expect(stage.waits(ms: 10) == ["ask 1: roots-1 roots-2 roots-3 roots-4 roots-5 roots-6 roots-7 (1)"])
    }

    @Test func aResponseInTheWindowWins() throws {
        var stage = try Stage()
        #expect(try stage.asks(Stage.form("0")) == [])
        #expect(stage.waits(ms: 29) == [])
        // The server hears that the question will have no answer.
        #expect(stage.answers() == [Self.cancelled, "release", "finish 1: done", "forget"])
    }

    @Test func aQuestionThatComesTwiceIsAskedOnce() throws {
        var stage = try Stage()
        #expect(try stage.asks(Stage.form("0")) == [])
        #expect(try stage.asks(Stage.form("0")) == [])
        #expect(stage.waits(ms: 30) == ["ask 1: elicitation-1 (1)"])
        #expect(try stage.retries(Self.accepted) == [Self.delivered])
        #expect(try stage.asks(Stage.form("0"), resumptions: 2) == [])
        #expect(stage.deadline == nil)
    }

    /// 0 and "0" are two ids, and neither is none.
    @Test func idsKeepTheirType() throws {
        var stage = try Stage()
        #expect(try stage.asks(Stage.form("0")) == [])
        #expect(try stage.asks(Stage.form(#""0""#)) == [])
        #expect(stage.waits(ms: 30) == ["ask 1: elicitation-1 elicitation-2 (1)"])
        #expect(
            try stage.retries(#"{"elicitation-2":{"action":"decline"},"elicitation-1":{"action":"cancel"}}"#) == [
                Self.cancelled, #"reply {"jsonrpc":"2.0","id":"0","result":{"action":"decline"}}"#,
            ])
    }

    @Test func theEighthRoundIsWrittenDown() throws {
        var stage = try Stage()
        for round in 1...9 {
            #expect(try stage.asks(Stage.roots("\(round)")) == [])
            let asked = "ask \(round): roots-\(round) (\(round))"
            #expect(stage.waits(ms: 30) == (round == 8 ? [asked, "warn 8"] : [asked]))
            #expect(try stage.retries(#"{"roots-\#(round)":{"roots":[]}}"#).count == 1)
        }
        #expect(stage.answers() == ["release", "finish 10: done"])
    }

    // MARK: No client is left

    /// It is a retry that brings the call.
    @Test func aCallThatWasNotSentWaitsForSomebodyWhoBringsIt() throws {
        var stage = try ParkedCallStage(phase: .predispatch)
        #expect(try stage.asks(Stage.form("0")) == [])
        #expect(try stage.asks(Stage.roots("1")) == [])
        #expect(stage.waits(ms: 30) == ["ask 1: elicitation-1 roots-2 (1)"])
        #expect(try stage.retries(Self.accepted) == [Self.delivered])
        #expect(stage.leaves(2) == [])
        #expect(stage.withdraws("1") == [])
        #expect(stage.phase == .predispatch && stage.deadline == .seconds(2))
        #expect(stage.waits(ms: 100) == [])
        #expect(try stage.retries("{}") == ["dispatch"])
        #expect(stage.answers() == ["release", "finish 3: done"])
    }

    @Test func aCallThatWasNotSentIsGivenUpWhenNobodyBringsIt() throws {
        var stage = try ParkedCallStage(phase: .predispatch)
        #expect(try stage.asks(Stage.form("0")) == [])
        #expect(try stage.asks(Stage.roots("1")) == [])
        #expect(stage.waits(ms: 30).count == 1)
        #expect(try stage.retries(Self.accepted) == [Self.delivered])
        #expect(stage.leaves(2) == [])
        #expect(stage.withdraws("1") == [])
        #expect(stage.waits(seconds: 2) == ["release", "forget"])
        #expect(try stage.retries("{}") == ["reject 3: lost"])
    }

    @Test func aCallThatCouldNotBeSentAgainIsBroughtByTheNextRetry() throws {
        var stage = try Stage.parked()
        #expect(try stage.retries(Self.accepted) == [Self.delivered])
        #expect(stage.leaves(2) == [])
        stage.isNotSent()
        #expect(try stage.retries("{}") == ["dispatch"])
        #expect(stage.phase == .dispatched)
    }

    // MARK: Making room

    @Test func aParkedCallMakesRoomAtOnce() throws {
        var stage = try Stage()
        #expect(!stage.isSpare && stage.makesRoom() == [])
        #expect(try stage.asks(Stage.form("0")) == [])
        #expect(!stage.isSpare && stage.makesRoom() == [])
        #expect(stage.waits(ms: 30).count == 1)
        #expect(stage.isSpare)
        #expect(stage.makesRoom() == ["cancel", "discard", "forget"])
        #expect(stage.makesRoom() == [] && stage.deadline == nil)
        #expect(stage.answers() == [])
        #expect(try stage.retries(Self.accepted) == ["reject 2: lost"])
    }

    @Test func whatIsGivenUpAndStillRunsMakesRoomToo() throws {
        var stage = try Stage()
        #expect(stage.leaves(1) == ["cancel"])
        #expect(stage.isSpare)
        #expect(stage.makesRoom() == ["discard", "forget"])
        #expect(stage.deadline == nil)
    }

    @Test func whatWasNotSentLeavesItsSessionInOrder() throws {
        var stage = try ParkedCallStage(phase: .predispatch)
        #expect(try stage.asks(Stage.form("0")) == [])
        #expect(stage.waits(ms: 30).count == 1)
        #expect(stage.makesRoom() == [Self.cancelled, "release", "forget"])
    }

    @Test func aResponseThatIsKeptMakesRoom() throws {
        var stage = try Stage.parked()
        #expect(stage.answers() == [Self.cancelled, "release"])
        #expect(!stage.isSpare && stage.makesRoom() == ["forget"])
        #expect(stage.makesRoom() == [] && stage.deadline == nil)
    }

    // MARK: Capabilities

    @Test func whatTheClientCannotBeAskedIsRefusedAndNamedWhenTheCallFails() throws {
        var stage = try Stage(capabilities: #"{"elicitation":{}}"#)
        let refusal = #"reply {"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"Method not found"}}"#
        #expect(try stage.asks(Stage.roots("1")) == [refusal])
        #expect(
            try stage.asks(Stage.page("2")) == [
                #"reply {"jsonrpc":"2.0","id":2,"error":{"code":-32602,"message":"#
                    + #""The client has no elicitation of this mode"}}"#
            ])
        #expect(stage.placesTaken == 0)
        #expect(
            stage.answers("failed", isFailure: true) == [
                "release", #"finish 1: missing {"elicitation":{"url":{}},"roots":{}}"#, "forget",
            ])
    }

    @Test func aCallThatSucceedsWithoutItsQuestionsIsAnswered() throws {
        var stage = try Stage(capabilities: "{}")
        #expect(try stage.asks(Stage.roots("1")).count == 1)
        #expect(stage.answers() == ["release", "finish 1: done", "forget"])
    }

    @Test func aCallThatFailsByItselfIsAnswered() throws {
        var stage = try Stage(capabilities: "{}")
        #expect(stage.answers("failed", isFailure: true) == ["release", "finish 1: failed", "forget"])
    }

    @Test func aRetryThatLostACapabilityLeavesTheCallParked() throws {
        var stage = try Stage.parked()
        #expect(
            try stage.retries(Self.accepted, capabilities: #"{"roots":{}}"#) == [
                #"reject 2: missing {"elicitation":{"form":{}}}"#
            ])
        #expect(stage.deadline == .seconds(600))
        #expect(try stage.retries(Self.accepted, capabilities: #"{"elicitation":{}}"#) == [Self.delivered])
        // What the first request could be asked does not count any more.
        #expect(try stage.asks(Stage.roots("5")).count == 1)
    }

    @Test func questionsWhileParkedAreHeldToTheLastRetry() throws {
        var stage = try Stage.parked()
        #expect(try stage.retries("{}", capabilities: #"{"elicitation":{}}"#) == [])
        #expect(stage.waits(ms: 30) == ["ask 2: elicitation-1 (2)"])
        let refusal = #"reply {"jsonrpc":"2.0","id":5,"error":{"code":-32601,"message":"Method not found"}}"#
        #expect(try stage.asks(Stage.roots("5")) == [refusal])
        #expect(try stage.asks(Stage.form("6")) == [])
    }

    @Test func questionsOfTwoRetriesAreForBoth() throws {
        var stage = try Stage.parked()
        #expect(try stage.retries(Self.accepted) == [Self.delivered])
        #expect(try stage.retries(Self.accepted, capabilities: #"{"sampling":{},"elicitation":{}}"#) == [])
        #expect(try stage.retries(Self.accepted) == [])
        #expect(try stage.asks(Stage.roots("5")).count == 1)
        #expect(try stage.asks(Stage.sampling("6")) == [])
        #expect(stage.waits(ms: 30) == ["ask 2,3,4: sampling-2 (2)"])
    }

    // MARK: Retries

    @Test func anAnswerGoesOnAndTheResponseComesBack() throws {
        var stage = try Stage.parked()
        #expect(try stage.retries(Self.accepted) == [Self.delivered])
        #expect(stage.deadline == nil)
        #expect(stage.answers() == ["release", "finish 2: done"])
        #expect(stage.isDone)
        #expect(stage.deadline == .seconds(600))
        #expect(stage.waits(seconds: 600) == ["forget"])
    }

    @Test func aLaterQuestionIsAnotherRound() throws {
        var stage = try Stage.parked()
        #expect(try stage.retries(Self.accepted) == [Self.delivered])
        #expect(try stage.asks(Stage.sampling("1")) == [])
        #expect(stage.waits(ms: 30) == ["ask 2: sampling-2 (2)"])
        #expect(stage.deadline == .seconds(600))
    }

    @Test func whatIsMissingIsAskedAgainUnderItsKey() throws {
        var stage = try Stage()
        #expect(try stage.asks(Stage.form("0")) == [])
        #expect(try stage.asks(Stage.roots("1")) == [])
        #expect(stage.waits(ms: 30) == ["ask 1: elicitation-1 roots-2 (1)"])
        #expect(try stage.retries(Self.accepted) == [Self.delivered])
        #expect(stage.waits(ms: 30) == ["ask 2: roots-2 (2)"])
        #expect(
            try stage.retries(#"{"roots-2":{"roots":[]}}"#) == [
                #"reply {"jsonrpc":"2.0","id":1,"result":{"roots":[]}}"#
            ])
    }

    @Test func aRetryWithoutAnswersIsAskedAgain() throws {
        var stage = try Stage.parked()
        #expect(try stage.retries("{}") == [])
        #expect(stage.waits(ms: 30) == ["ask 2: elicitation-1 (2)"])
    }

    @Test func whatWasNotAskedOrIsAnsweredIsIgnored() throws {
        var stage = try Stage.parked()
        #expect(try stage.retries(#"{"elicitation-1":{"action":"decline"},"other":7}"#).count == 1)
        #expect(try stage.asks(Stage.form("1")) == [])
        // Not shown to the client yet: it cannot mean this one.
        #expect(try stage.retries(#"{"elicitation-1":7,"elicitation-2":{"action":"accept"}}"#) == [])
        #expect(stage.waits(ms: 30) == ["ask 2,3: elicitation-2 (2)"])
    }

    @Test func aWrongAnswerDeliversNothing() throws {
        var stage = try Stage()
        #expect(try stage.asks(Stage.form("0")) == [])
        #expect(try stage.asks(Stage.roots("1")) == [])
        #expect(stage.waits(ms: 30) == ["ask 1: elicitation-1 roots-2 (1)"])
        #expect(
            try stage.retries(#"{"elicitation-1":{"action":"decline"},"roots-2":{}}"#) == ["reject 2: wrong roots-2"])
        #expect(stage.deadline == .seconds(600))
        #expect(
            try stage.retries(#"{"elicitation-1":{"action":"decline"},"roots-2":{"roots":[]}}"#).count == 2)
    }

    @Test func twoRetriesAtOnceHaveTheSameOutcomeAndOneDelivery() throws {
        var stage = try Stage.parked()
        #expect(try stage.retries(Self.accepted) == [Self.delivered])
        #expect(try stage.retries(#"{"elicitation-1":{"action":"decline"}}"#) == [])
        #expect(try stage.says(Stage.progress(1)) == ["forward 2,3: \(Stage.progress(1))"])
        #expect(stage.answers() == ["release", "finish 2,3: done"])
    }

    @Test func aStaleRetryIsAskedWhatIsOpenNow() throws {
        var stage = try Stage.parked()
        #expect(try stage.retries(Self.accepted) == [Self.delivered])
        #expect(try stage.asks(Stage.roots("1")) == [])
        #expect(stage.waits(ms: 30) == ["ask 2: roots-2 (2)"])
        #expect(try stage.retries(Self.accepted) == [])
        #expect(stage.waits(ms: 30) == ["ask 3: roots-2 (3)"])
    }

    @Test func aRetryAfterTheEndGetsTheResponseThatIsKept() throws {
        var stage = try Stage.parked()
        #expect(try stage.retries(Self.accepted) == [Self.delivered])
        #expect(stage.answers() == ["release", "finish 2: done"])
        #expect(stage.waits(seconds: 599) == [])
        #expect(try stage.retries(Self.accepted, capabilities: "{}") == ["finish 3: done"])
        #expect(stage.waits(seconds: 1) == ["forget"])
        #expect(try stage.retries(Self.accepted) == ["reject 4: lost"])
    }

    // MARK: The server, while parked

    @Test func aResponseWhileParkedIsForTheNextRetry() throws {
        var stage = try Stage.parked()
        #expect(stage.answers() == [Self.cancelled, "release"])
        #expect(stage.isDone)
        #expect(try stage.retries(Self.accepted) == ["finish 2: done"])
    }

    @Test func aQuestionThatIsTakenBackIsNotAnswered() throws {
        var stage = try Stage.parked()
        #expect(stage.withdraws("1") == [])
        #expect(stage.withdraws(#""0""#) == [])
        #expect(stage.withdraws("0") == [])
        #expect(try stage.retries(Self.accepted) == [])
        #expect(stage.deadline == nil)
        #expect(stage.answers() == ["release", "finish 2: done"])
    }

    @Test func aQuestionThatIsTakenBackAtOnceIsNotAsked() throws {
        var stage = try Stage()
        #expect(try stage.asks(Stage.form("0")) == [])
        #expect(stage.withdraws("0") == [])
        #expect(stage.waits(seconds: 60) == [])
        #expect(stage.answers() == ["release", "finish 1: done", "forget"])
    }

    @Test func aQuestionWhileParkedIsAskedByTheNextRetry() throws {
        var stage = try Stage.parked()
        #expect(try stage.asks(Stage.roots("1")) == [])
        #expect(stage.waits(seconds: 1) == [])
        #expect(try stage.retries(Self.accepted) == [Self.delivered])
        #expect(stage.waits(ms: 30) == ["ask 2: roots-2 (2)"])
    }

    @Test func theLastProgressAndTheLogsWaitForTheRetry() throws {
        var stage = try Stage.parked()
        #expect(try stage.says(Stage.progress(1)) == [])
        for index in 0..<60 { #expect(try stage.says(Stage.log("\(index)")) == []) }
        #expect(try stage.says(Stage.progress(2)) == [])
        #expect(try stage.says(#"{"jsonrpc":"2.0","method":"notifications/vendor"}"#) == [])
        let logs = (10..<60).map { "forward 2: \(Stage.log("\($0)"))" }
        #expect(try stage.retries(Self.accepted) == logs + ["forward 2: \(Stage.progress(2))", Self.delivered])
        #expect(try stage.retries(Self.accepted) == [])
    }

    @Test func largeLogsAreNotKept() throws {
        var stage = try Stage.parked()
        let large = String(repeating: "x", count: 30_000)
        #expect(try stage.says(Stage.log(large + large + large)) == [])
        for index in 0..<3 { #expect(try stage.says(Stage.log("\(index)" + large)) == []) }
        #expect(
            try stage.says(
                #"{"jsonrpc":"2.0","method":"notifications/progress","#
                    + #""params":{"progressToken":2,"progress":1,"message":"\#(large + large + large)"}}"#) == [])
        #expect(
            try stage.retries("{}") == ["1", "2"].map { "forward 2: \(Stage.log($0 + large))" })
    }

    @Test func whatIsKeptComesBeforeAResponseThatIsKept() throws {
        var stage = try Stage.parked()
        #expect(try stage.says(Stage.log("a")) == [])
        #expect(stage.answers() == [Self.cancelled, "release"])
        #expect(try stage.says(Stage.log("late")) == [])
        #expect(try stage.retries("{}") == ["forward 2: \(Stage.log("a"))", "finish 2: done"])
    }

    // MARK: Pages

    private static func onPage() throws -> Stage {
        var stage = try Stage()
        #expect(try stage.asks(Stage.page("0")) == [])
        #expect(stage.waits(ms: 30) == ["ask 1: elicitation-1 (1)"])
        #expect(
            try stage.retries(#"{"elicitation-1":{"action":"accept"}}"#) == [
                #"reply {"jsonrpc":"2.0","id":0,"result":{"action":"accept"}}"#
            ])
        #expect(stage.deadline == .seconds(25))
        return stage
    }

    /// A result never asks nothing.
    @Test func aPageThatIsDoneAsItIsToBeAskedForAgainIsNot() throws {
        var stage = try Stage()
        #expect(try stage.asks(Stage.page("0")) == [])
        #expect(stage.waits(ms: 30) == ["ask 1: elicitation-1 (1)"])
        #expect(try stage.retries(#"{"elicitation-1":{"action":"accept"}}"#).count == 1)
        #expect(stage.waits(seconds: 25) == ["ask 2: elicitation-2 (2)"])
        #expect(try stage.retries("{}") == [])
        #expect(stage.completes("e") == [])
        #expect(stage.waits(ms: 30) == [] && stage.deadline == nil)
        #expect(stage.answers() == ["release", "finish 3: done"])
    }

    @Test func aUserInABrowserIsRemindedUnderFreshKeys() throws {
        var stage = try Self.onPage()
        #expect(stage.waits(seconds: 25) == ["ask 2: elicitation-2 (2)"])
        #expect(stage.deadline == .seconds(600))
        // Nothing goes to the server, which has its answer.
        #expect(try stage.retries(#"{"elicitation-2":{"action":"accept"}}"#) == [])
        #expect(stage.waits(seconds: 25) == ["ask 3: elicitation-3 (3)"])
        #expect(try stage.retries(#"{"elicitation-3":{"action":"cancel"}}"#) == [])
        #expect(stage.answers() == ["release", "finish 4: done"])
    }

    @Test func whoeverJoinsDoesNotProlongTheWaitForABrowser() throws {
        var stage = try Self.onPage()
        #expect(stage.waits(seconds: 20) == [])
        #expect(try stage.retries("{}") == [])
        #expect(stage.waits(seconds: 5) == ["ask 2,3: elicitation-2 (2)"])
    }

    @Test func aPageThatIsOverIsNotAskedForAgain() throws {
        var stage = try Self.onPage()
        #expect(stage.completes("other") == [])
        #expect(stage.deadline == .seconds(25))
        #expect(stage.completes("e") == [])
        #expect(stage.deadline == nil)
        #expect(stage.waits(seconds: 60) == [])
    }

    @Test func aReminderOfAPageThatIsOverIsTakenBack() throws {
        var stage = try Self.onPage()
        #expect(stage.waits(seconds: 25) == ["ask 2: elicitation-2 (2)"])
        #expect(stage.completes("e") == [])
        #expect(try stage.retries("{}") == [])
        #expect(stage.deadline == nil)
    }

    @Test func aPageThatIsOverBeforeTheClientSaysSoIsNotWaitedFor() throws {
        var stage = try Stage()
        #expect(try stage.asks(Stage.page("0")) == [])
        #expect(stage.waits(ms: 30).count == 1)
        #expect(stage.completes("e") == [])
        #expect(try stage.retries(#"{"elicitation-1":{"action":"accept"}}"#).count == 1)
        #expect(stage.deadline == nil)
    }

    @Test func aClientThatLeavesForABrowserMayComeBack() throws {
        var stage = try Self.onPage()
        #expect(stage.leaves(2) == [])
        #expect(stage.deadline == .seconds(600))
        #expect(stage.waits(seconds: 599) == [])
        #expect(try stage.retries(#"{"elicitation-1":{"action":"accept"}}"#) == [])
        #expect(stage.deadline == .seconds(25))
    }

    @Test func aPageThatIsDeclinedIsWaitedForNoMore() throws {
        var stage = try Stage()
        #expect(try stage.asks(Stage.page("0")) == [])
        #expect(stage.waits(ms: 30).count == 1)
        #expect(
            try stage.retries(#"{"elicitation-1":{"action":"decline"}}"#) == [
                #"reply {"jsonrpc":"2.0","id":0,"result":{"action":"decline"}}"#
            ])
        #expect(stage.deadline == nil)
    }

    // MARK: -32042

    @Test func aCallThatDidNotRunIsSentAgainWhenAllPagesAreOver() throws {
        var stage = try Stage()
        #expect(try stage.requires(["a", "b"]) == ["ask 1: elicitation-1 elicitation-2 (1)"])
        #expect(stage.phase == .replay)
        #expect(
            try stage.retries(#"{"elicitation-1":{"action":"accept"},"elicitation-2":{"action":"accept"}}"#) == [])
        #expect(stage.completes("a") == [])
        #expect(stage.deadline == .seconds(25))
        #expect(stage.completes("b") == ["dispatch"])
        #expect(stage.phase == .dispatched)
        #expect(stage.answers() == ["release", "finish 2: done"])
    }

    @Test func aCallThatDidNotRunIsSentAgainWhateverTheServerSays() throws {
        var stage = try Stage()
        #expect(try stage.requires(["a"]).count == 1)
        #expect(try stage.retries(#"{"elicitation-1":{"action":"accept"}}"#) == [])
        #expect(stage.waits(seconds: 25) == ["dispatch"])
        // The same error: the same question, and never the same key.
        #expect(try stage.requires(["a"]) == ["ask 2: elicitation-2 (2)"])
        #expect(stage.completes("a") == [])
        #expect(try stage.retries(#"{"elicitation-2":{"action":"accept"}}"#) == ["dispatch"])
    }

    @Test(arguments: ["decline", "cancel"]) func aCallWhosePageIsDeclinedDoesNotRun(action: String) throws {
        var stage = try Stage()
        #expect(try stage.requires(["a"]).count == 1)
        let answer = #"{"elicitation-1":{"action":"\#(action)"}}"#
        #expect(try stage.retries(answer) == ["release", "finish 2: declined"])
        #expect(try stage.retries(answer) == ["finish 3: declined"])
    }

    @Test func aCallThatDidNotRunAndIsGivenUpIsNotCancelled() throws {
        var stage = try Stage()
        #expect(try stage.requires(["a"]).count == 1)
        #expect(stage.waits(seconds: 600) == ["release", "forget"])
    }

    @Test func aCallThatDidNotRunWhileItsClientWasAwayIsNotKeptLonger() throws {
        var stage = try Stage.parked()
        #expect(stage.waits(seconds: 500) == [])
        #expect(try stage.requires(["a"]) == [])
        #expect(stage.deadline == .seconds(100))
        // The form is not open any more, and the page is asked for.
        #expect(try stage.retries(Self.accepted) == [])
        #expect(stage.waits(ms: 30) == ["ask 2: elicitation-2 (2)"])
    }

    @Test func aCallThatDidNotRunFindsNoPlace() throws {
        var stage = try Stage()
        stage.hasPlace = false
        #expect(try stage.requires(["a"]) == ["release", "reject 1: full", "forget"])
    }

    // MARK: Before anything is sent

    @Test func questionsOfTheHandshakeAreAskedBeforeTheCallIsSent() throws {
        var stage = try Stage(phase: .predispatch)
        #expect(try stage.asks(Stage.roots("0")) == [])
        #expect(stage.waits(ms: 30) == ["ask 1: roots-1 (1)"])
        #expect(
            try stage.retries(#"{"roots-1":{"roots":[]}}"#) == [
                #"reply {"jsonrpc":"2.0","id":0,"result":{"roots":[]}}"#, "dispatch",
            ])
        #expect(stage.phase == .dispatched)
        #expect(try stage.asks(Stage.form("1")) == [])
        #expect(stage.waits(ms: 30) == ["ask 2: elicitation-2 (2)"])
    }

    @Test func aCallThatWasNotSentIsNotCancelled() throws {
        var stage = try Stage(phase: .predispatch)
        #expect(try stage.asks(Stage.form("0")) == [])
        #expect(stage.waits(ms: 30).count == 1)
        #expect(stage.waits(seconds: 600) == [Self.cancelled, "release", "forget"])
    }

    @Test func aHandshakeWithoutQuestionsHoldsNothingUp() throws {
        var stage = try Stage(phase: .predispatch)
        stage.isSent()
        #expect(stage.phase == .dispatched)
        #expect(try stage.asks(Stage.form("0")) == [])
        #expect(stage.waits(ms: 30).count == 1)
        #expect(try stage.retries(Self.accepted) == [Self.delivered])
    }

    // MARK: Giving up

    @Test func aClientThatStaysAwayCancelsFirst() throws {
        var stage = try Stage.parked()
        #expect(try stage.asks(Stage.sampling("1")) == [])
        #expect(try stage.asks(Stage.roots("2")) == [])
        #expect(stage.waits(ms: 599_999) == [])
        #expect(stage.waits(ms: 1) == ["cancel"])
        #expect(try stage.retries(Self.accepted) == ["reject 2: lost"])
        #expect(stage.waits(ms: 999) == [])
        #expect(
            stage.waits(ms: 1) == [
                Self.cancelled,
                #"reply {"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"User rejected sampling request"}}"#,
                #"reply {"jsonrpc":"2.0","id":2,"error":{"code":-32603,"message":"#
                    + #""The client did not come back with its roots"}}"#,
            ])
        #expect(stage.waits(ms: 3999) == [])
        #expect(stage.waits(ms: 1) == ["discard", "forget"])
        #expect(stage.deadline == nil)
    }

    @Test func aServerThatLetsGoKeepsItsSession() throws {
        var stage = try Stage.parked()
        #expect(stage.waits(seconds: 600) == ["cancel"])
        #expect(stage.answers() == ["release", "forget"])
        #expect(stage.waits(seconds: 60) == [])
    }

    @Test func aQuestionAfterTheCancellationIsAnsweredAtOnce() throws {
        var stage = try Stage.parked()
        #expect(stage.waits(seconds: 600) == ["cancel"])
        #expect(
            try stage.asks(Stage.form("7")) == [#"reply {"jsonrpc":"2.0","id":7,"result":{"action":"cancel"}}"#])
    }

    @Test func whatWasLeftOverIsAnsweredOnce() throws {
        var stage = try Stage.parked()
        #expect(stage.waits(seconds: 600) == ["cancel"])
        #expect(stage.waits(seconds: 1) == [Self.cancelled])
        #expect(try stage.asks(Stage.form("0"), resumptions: 2) == [])
    }

    @Test func theTimeForTheClientBeginsAnewWithEachRound() throws {
        var stage = try Stage.parked()
        #expect(stage.waits(seconds: 599) == [])
        #expect(try stage.retries("{}") == [])
        #expect(stage.waits(ms: 30).count == 1)
        #expect(stage.waits(seconds: 599) == [])
        #expect(stage.waits(seconds: 1) == ["cancel"])
    }

    @Test func aRetryThatBreaksOffMayBeSentAgain() throws {
        var stage = try Stage.parked()
        #expect(try stage.retries(Self.accepted) == [Self.delivered])
        #expect(stage.leaves(2) == [])
        #expect(stage.leaves(2) == [])
        #expect(stage.waits(ms: 1999) == [])
        #expect(try stage.retries(Self.accepted) == [])
        #expect(stage.waits(seconds: 60) == [])
        #expect(stage.answers() == ["release", "finish 3: done"])
    }

    @Test func aRetryThatStaysAwayCancels() throws {
        var stage = try Stage.parked()
        #expect(try stage.retries(Self.accepted) == [Self.delivered])
        #expect(stage.leaves(2) == [])
        #expect(stage.waits(seconds: 2) == ["cancel"])
        #expect(stage.deadline == .seconds(5))
    }

    @Test func aQuestionInTheGraceOfARetryIsForTheNext() throws {
        var stage = try Stage.parked()
        #expect(try stage.retries(Self.accepted) == [Self.delivered])
        #expect(stage.leaves(2) == [])
        #expect(try stage.asks(Stage.roots("1")) == [])
        #expect(stage.waits(ms: 500) == [])
        #expect(try stage.retries(Self.accepted) == [])
        #expect(stage.waits(ms: 30) == ["ask 3: roots-2 (2)"])
    }

    @Test func aResponseInTheGraceOfARetryIsKept() throws {
        var stage = try Stage.parked()
        #expect(try stage.retries(Self.accepted) == [Self.delivered])
        #expect(stage.leaves(2) == [])
        #expect(stage.answers() == ["release"])
        #expect(stage.waits(seconds: 60) == [])
        #expect(try stage.retries(Self.accepted) == ["finish 3: done"])
    }

    @Test func oneOfTwoRetriesMayLeave() throws {
        var stage = try Stage.parked()
        #expect(try stage.retries(Self.accepted) == [Self.delivered])
        #expect(try stage.retries(Self.accepted) == [])
        #expect(stage.leaves(2) == [])
        #expect(stage.deadline == nil)
        #expect(stage.answers() == ["release", "finish 3: done"])
    }

    // MARK: Limits

    private static func tooMany(_ id: String) -> String {
        #"reply {"jsonrpc":"2.0","id":\#(id),"error":{"code":-32603,"message":"#
            + #""Too many questions wait for an answer. Try again later."}}"#
    }

    @Test func aCallWithoutAPlaceAsksNothing() throws {
        var stage = try Stage()
        stage.hasPlace = false
        #expect(try stage.asks(Stage.form("0")) == [Self.tooMany("0")])
        #expect(stage.deadline == nil)
        #expect(stage.answers("failed", isFailure: true) == ["release", "finish 1: failed", "forget"])
    }

    @Test func openQuestionsAreCounted() throws {
        var stage = try Stage()
        for id in 0..<32 { #expect(try stage.asks(Stage.roots("\(id)")) == []) }
        #expect(try stage.asks(Stage.roots("32")) == [Self.tooMany("32")])
    }

    @Test func questionsOfACallAreCounted() throws {
        var stage = try Stage()
        for id in 0..<1000 {
            #expect(try stage.asks(Stage.roots("\(id)")) == [])
            #expect(stage.withdraws("\(id)") == [])
        }
        #expect(try stage.asks(Stage.roots("1000")) == [Self.tooMany("1000")])
    }

    @Test func bytesOfOpenQuestionsAreCounted() throws {
        var stage = try Stage()
        let text = String(repeating: "x", count: 2_000_000)
        let question = { (id: Int) in
            #"{"jsonrpc":"2.0","id":\#(id),"method":"elicitation/create","#
                + #""params":{"message":"\#(text)","requestedSchema":{}}}"#
        }
        #expect(try stage.asks(question(0)) == [])
        #expect(try stage.asks(question(1)) == [])
        #expect(try stage.asks(question(2)) == [Self.tooMany("2")])
    }
}
