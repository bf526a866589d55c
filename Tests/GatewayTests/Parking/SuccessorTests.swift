import Crypto
import JSONText
import MCP
import Reactor
import Testing
import Translation

@testable import Gateway

/// A call that goes on at another replica than the one that began it.
@Suite struct SuccessorTests {
    private typealias Call = ParkedCall<String>

    private static let now = Instant(nanoseconds: 1_000_000_000)
    private static let answer = #"{"action":"accept","content":{"n":1}}"#
    private static let everything: InputCapabilities = {
        let document = try! JSONDocument(Array(ParkedCallStage.everything.utf8))
        return InputCapabilities(document.root, in: document)
    }()

    private static func message(_ text: String) throws -> Envelope { try Envelope(JSONDocument(Array(text.utf8))) }

    private static func form(_ id: String, _ text: String) -> String {
        #"{"jsonrpc":"2.0","id":\#(id),"method":"elicitation/create","params":{"message":"\#(text)","requestedSchema":{}}}"#
    }

    private static func digest(_ text: String) throws -> [UInt8] {
        RequestState.digest(of: try InputRequest(message(form("0", text)), declared: everything))
    }

    /// The state of a call that was told an answer to `first`, and waits for one to `second`.
    private static func state() throws -> RequestState {
        let request = try ParkedCallStage.request(#""name":"t""#, "{}")
        return RequestState(
            issued: UnixTime(seconds: 0), expires: UnixTime(seconds: 1), principal: [],
            request: RequestState.digest(of: request), call: CallID { [UInt8](repeating: 1, count: $0) },
            phase: .dispatched, round: 2, owner: Array("a/0".utf8),
            resumption: RequestState.Resumption(
                sessionID: Array("s".utf8), cookies: [], revision: .v2025_11_25, legacyRequestID: 7,
                lastEventID: Array("e".utf8),
                pending: [
                    .init(
                        key: Array("elicitation-2".utf8), legacyID: Array("1".utf8), kind: .form,
                        question: try digest("second"))
                ],
                answers: [
                    .init(
                        key: Array("elicitation-1".utf8), text: Array(answer.utf8), question: try digest("first"))
                ]))
    }

    private static func retry(_ responses: String) throws -> ModernRequest {
        try ParkedCallStage.request(#""name":"t","inputResponses":\#(responses)"#, ParkedCallStage.everything)
    }

    private static func given(_ responses: String = #"{"elicitation-2":\#(answer)}"#) throws -> GivenAnswers {
        try GivenAnswers(state(), retry(responses))
    }

    private static func successor(_ given: GivenAnswers) -> Call {
        var call = Call(
            successor: [1, 2].map { Call.Leg(id: $0, capabilities: everything) }, round: 2, given,
            revision: .v2025_11_25, times: ParkingTimes(), at: now)
        call.noteSending()
        return call
    }

    private static func replies(_ actions: [Call.Action]) -> [String] {
        actions.map { action in
            if case .reply(let text) = action { String(decoding: text, as: UTF8.self) } else { "other" }
        }
    }

    @Test func theSameWordsGetTheSameAnswerOnce() throws {
        var call = Self.successor(try Self.given())
        var asked = 0
        for (id, text) in [("10", "first"), ("\"x\"", "second")] {
            let actions = call.addQuestion(try Self.message(Self.form(id, text)), resumptions: 1, at: Self.now) {
                asked += 1
                return true
            }
            #expect(Self.replies(actions) == [#"{"jsonrpc":"2.0","id":\#(id),"result":\#(Self.answer)}"#])
        }
        #expect(call.open.isEmpty && asked == 0)
        // It has its place; a third question in words that were used is another one.
        let third = call.addQuestion(try Self.message(Self.form("11", "first")), resumptions: 1, at: Self.now) {
            false
        }
        #expect(third.isEmpty && call.open.map(\.key) == ["elicitation-3"])
    }

    @Test func otherWordsAreAskedUnderAKeyThatNoneHad() throws {
        var call = Self.successor(try Self.given())
        _ = call.addQuestion(try Self.message(Self.form("10", "other")), resumptions: 1, at: Self.now) { true }
        #expect(call.open.map(\.key) == ["elicitation-3"])
        let actions = call.performDue(at: Self.now + .milliseconds(30))
        guard case .ask(let legs, _, round: 3) = actions.first else {
            Issue.record("\(actions)")
            return
        }
        #expect(legs.map(\.id) == [1, 2])
    }

    /// Without replicas a state does not tell what was asked. Its client may send the same retry once more.
    @Test func aKeyThatTheRetryNamesIsNotGivenToAnotherQuestion() throws {
        var state = try Self.state()
        state.resumption = nil
        var call = Self.successor(try GivenAnswers(state, Self.retry(#"{"elicitation-1":\#(Self.answer)}"#)))
        _ = call.addQuestion(try Self.message(Self.form("10", "other")), resumptions: 1, at: Self.now) { true }
        #expect(call.open.map(\.key) == ["elicitation-2"])
    }

    @Test(arguments: [#"{"elicitation-2":{"action":"what"}}"#, #"{"elicitation-2":1}"#, "{}"])
    func anAnswerThatIsNoneIsAskedForAgain(_ responses: String) throws {
        var call = Self.successor(try Self.given(responses))
        let actions = call.addQuestion(try Self.message(Self.form("10", "second")), resumptions: 1, at: Self.now) {
            true
        }
        #expect(actions.isEmpty && call.open.count == 1 && call.open[0].key != "elicitation-2")
    }

    @Test(arguments: ["[]", "1", #"{"elicitation-2":{},"elicitation-2":{}}"#])
    func whatIsNoObjectIsRefused(_ responses: String) throws {
        #expect(throws: InputFlaw.self) { try Self.given(responses) }
    }

    @Test func aCallIsTakenUpWhereItWas() throws {
        let resumption = try #require(try Self.state().resumption)
        let responses = try InputResponses(of: Self.retry(#"{"elicitation-2":\#(Self.answer)}"#))
        let open = try #require(resumption.openQuestions(answeredBy: responses))
        var call = Call(
            takenUp: open.map { Call.Question(key: $0.key, request: $0.request, isAsked: true) }, round: 2,
            keys: try Self.given().keys, revision: .v2025_11_25, times: ParkingTimes(), at: Self.now)
        let actions = call.addRetry(Call.Leg(id: 1, capabilities: Self.everything), responses, at: Self.now)
        #expect(Self.replies(actions) == [#"{"jsonrpc":"2.0","id":1,"result":\#(Self.answer)}"#])
        // The stream may bring the question once more.
        let again = call.addQuestion(try Self.message(Self.form("1", "second")), resumptions: 1, at: Self.now) {
            true
        }
        #expect(again.isEmpty && call.open.isEmpty)
        _ = call.addQuestion(try Self.message(Self.form("2", "third")), resumptions: 1, at: Self.now) { true }
        #expect(call.open.map(\.key) == ["elicitation-3"])
    }

    private static func takenUp(_ kind: InputRequest.Kind) -> Call {
        let question = InputRequest(asked: kind, legacyID: Array("1".utf8))
        return Call(
            takenUp: [Call.Question(key: "elicitation-2", request: question, isAsked: true)], round: 2,
            keys: ["elicitation-2"], revision: .v2025_11_25, times: ParkingTimes(), at: now)
    }

    /// What the question was is not known any more.
    @Test func aRetryWithoutAnAnswerToAQuestionThatIsTakenUpIsTold() throws {
        var call = Self.takenUp(.form)
        let leg = Call.Leg(id: 1, capabilities: Self.everything)
        let actions = call.addRetry(leg, try InputResponses(of: Self.retry("{}")), at: Self.now)
        guard case .reject(leg, .wrongAnswer(let flaw)) = actions.first, actions.count == 1 else {
            Issue.record("\(actions)")
            return
        }
        #expect(flaw.advice.hasPrefix(#"inputResponses["elicitation-2"]: it is missing"#))
        let again = try InputResponses(of: Self.retry(#"{"elicitation-2":\#(Self.answer)}"#))
        #expect(Self.replies(call.addRetry(leg, again, at: Self.now)).count == 1)
    }

    /// Which page it was is not known any more: the request goes on waiting, and a later one too.
    @Test func aPageThatIsTakenUpIsNotAskedForAgain() throws {
        var call = Self.takenUp(.url(elicitationID: Array("e".utf8)))
        let accepted = try InputResponses(of: Self.retry(#"{"elicitation-2":\#(Self.answer)}"#))
        let leg = Call.Leg(id: 1, capabilities: Self.everything)
        #expect(Self.replies(call.addRetry(leg, accepted, at: Self.now)).count == 1)
        let end = try #require(call.deadline)
        #expect(call.performDue(at: end).isEmpty && call.legs == [leg])
        #expect(call.removeLeg(1, at: end).isEmpty && call.isSpare)
        #expect(call.addRetry(Call.Leg(id: 2, capabilities: Self.everything), accepted, at: end).isEmpty)
        #expect(call.completeElicitation(Array("e".utf8), at: end).isEmpty && call.isRunning)
    }

    @Test(arguments: ["{}", #"{"elicitation-1":{"action":"decline"}}"#, #"{"elicitation-2":{"action":"what"}}"#])
    func onlyWithAllAnswers(_ responses: String) throws {
        let resumption = try #require(try Self.state().resumption)
        #expect(resumption.openQuestions(answeredBy: try InputResponses(of: Self.retry(responses))) == nil)
    }
}
