import JSONText
import MCP
import Testing
import Translation

@testable import Gateway

@Suite struct TaskQuestionsTests {
    private func question(_ id: String, _ method: String = "elicitation/create", words: String = "?") throws -> Envelope
    {
        let text =
            #"{"jsonrpc":"2.0","id":\#(id),"method":"\#(method)","params":{"message":"\#(words)","#
            + #""requestedSchema":{"type":"object","properties":{}}}}"#
        return try Envelope(JSONDocument(Array(text.utf8)))
    }

    private func responses(_ text: String) throws -> InputResponses {
        try InputResponses(
            of: ParkedCallStage.request(#""taskId":"x","inputResponses":\#(text)"#, "{}", method: "tools/call"))
    }

    private func string(_ replies: [[UInt8]]) -> [String] { replies.map { String(decoding: $0, as: UTF8.self) } }

    @Test func eachIsAnsweredOnceUnderItsKey() throws {
        var questions = TaskQuestions(declared: .form)
        #expect(try questions.addQuestion(question("0"), resumptions: 1) == nil)
        #expect(try questions.addQuestion(question(#""0""#), resumptions: 1) == nil)
        // A stream that is taken up again.
        #expect(try questions.addQuestion(question("0"), resumptions: 1) == nil)
        #expect(questions.open.map(\.key) == ["elicitation-1", "elicitation-2"])
        let answer = #"{"action":"decline"}"#
        let replies = try questions.takeAnswers(
            by: responses(#"{"elicitation-2":\#(answer),"elicitation-9":7}"#), in: .newestLegacy)
        #expect(string(replies) == [#"{"jsonrpc":"2.0","id":"0","result":{"action":"decline"}}"#])
        #expect(questions.open.map(\.key) == ["elicitation-1"])
        #expect(
            try questions.takeAnswers(by: responses(#"{"elicitation-2":\#(answer)}"#), in: .newestLegacy).isEmpty)
        // It was answered, and its id means nothing else.
        #expect(try questions.addQuestion(question(#""0""#), resumptions: 2) == nil)
        #expect(questions.open.count == 1)
        #expect(try questions.addQuestion(question("1"), resumptions: 1) == nil)
        #expect(questions.open.map(\.key) == ["elicitation-1", "elicitation-3"])
    }

    @Test func whatTheCallHasAskedIsNotAskedAgain() throws {
        var keys = InputKeys()
        keys.takeKey("elicitation-1")
        var settled = SettledQuestions()
        settled.insertQuestion(try InputRequest(question("0"), declared: .form))
        var questions = TaskQuestions(declared: .form, keys: keys, settled: settled)
        #expect(try questions.addQuestion(question("0"), resumptions: 1) == nil)
        #expect(questions.open.isEmpty)
        #expect(try questions.addQuestion(question("1"), resumptions: 1) == nil)
        #expect(questions.open.map(\.key) == ["elicitation-2"])
    }

    /// Servers use ids again, and wait for an answer to each question.
    @Test func anIDThatWasAnsweredMeansAnotherQuestion() throws {
        var questions = TaskQuestions(declared: .form)
        for number in 1...3 {
            // While it is open, it is the same question.
            for _ in 0..<2 { #expect(try questions.addQuestion(question("0"), resumptions: 0) == nil) }
            #expect(questions.open.map(\.key) == ["elicitation-\(number)"])
            _ = try questions.takeAnswers(
                by: responses(#"{"elicitation-\#(number)":{"action":"decline"}}"#), in: .newestLegacy)
        }
        // After a stream was taken up again, other words are still another question.
        #expect(try questions.addQuestion(question("0"), resumptions: 1) == nil)
        #expect(questions.open.isEmpty)
        #expect(try questions.addQuestion(question("0", words: "what else?"), resumptions: 1) == nil)
        #expect(questions.open.map(\.key) == ["elicitation-4"])
    }

    @Test func otherWordsUnderAnOpenIDTakeTheFirstQuestionBack() throws {
        var questions = TaskQuestions(declared: .form)
        #expect(try questions.addQuestion(question("0"), resumptions: 0) == nil)
        #expect(try questions.addQuestion(question("0", words: "sure?"), resumptions: 0) == nil)
        #expect(questions.open.map(\.key) == ["elicitation-2"])
    }

    @Test func aWrongAnswerChangesNothing() throws {
        var questions = TaskQuestions(declared: .form)
        _ = try questions.addQuestion(question("0"), resumptions: 1)
        _ = try questions.addQuestion(question("1"), resumptions: 1)
        #expect(throws: InputFlaw.self) {
            try questions.takeAnswers(
                by: responses(#"{"elicitation-1":{"action":"decline"},"elicitation-2":{"action":"maybe"}}"#),
                in: .newestLegacy)
        }
        #expect(questions.open.count == 2)
    }

    @Test func whatTheClientCannotBeAskedIsRefused() throws {
        var questions = TaskQuestions(declared: .sampling)
        let reply = try #require(try questions.addQuestion(question("0"), resumptions: 1))
        #expect(String(decoding: reply, as: UTF8.self).contains("-32602"))
        #expect(questions.open.isEmpty && questions.needs.isEmpty)
    }

    @Test func whatIsTakenBackIsNotAnswered() throws {
        var questions = TaskQuestions(declared: .form)
        _ = try questions.addQuestion(question("0"), resumptions: 1)
        #expect(questions.needs == .form)
        let other = questions.withdrawQuestion(Array("1".utf8))
        let own = questions.withdrawQuestion(Array("0".utf8))
        #expect(!other && own && questions.open.isEmpty)
        let leftovers = questions.closeQuestions()
        #expect(leftovers.isEmpty)
    }

    @Test func thereIsALimit() throws {
        var questions = TaskQuestions(declared: .form)
        for id in 0..<32 { #expect(try questions.addQuestion(question("\(id)"), resumptions: 1) == nil) }
        #expect(try questions.addQuestion(question("32"), resumptions: 1) != nil)
        let leftovers = questions.closeQuestions()
        #expect(leftovers.count == 32 && questions.open.isEmpty)
        // Those that are over count, too.
        for id in 33..<2000 {
            _ = try questions.addQuestion(question("\(id)"), resumptions: 1)
            _ = questions.closeQuestions()
        }
        #expect(try questions.addQuestion(question("9999"), resumptions: 1) != nil)
        var large = TaskQuestions(declared: .form)
        let words = String(repeating: "x", count: 1 << 20)
        for id in 0..<3 { #expect(try large.addQuestion(question("\(id)", words: words), resumptions: 1) == nil) }
        #expect(try large.addQuestion(question("3", words: words), resumptions: 1) != nil)
    }
}
