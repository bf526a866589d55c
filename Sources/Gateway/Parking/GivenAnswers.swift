import MCP
import Translation

/// What a client answered to a run of its call that is lost. Another run that asks the same, in the same words, is told the
/// same; what it asks otherwise is asked anew, under another key.
struct GivenAnswers: Sendable {
    /// The answers, so that they can be carried on.
    let answers: [RequestState.Answer]
    private var open: [(key: String, question: [UInt8])]
    private let responses: InputResponses

    /// Those in the state of a retry, and those that the retry brings itself.
    init(_ state: RequestState, _ retry: ModernRequest) throws(InputFlaw) {
        let new = try InputResponses(of: retry)
        let asked = state.resumption?.pending ?? []
        answers =
            (state.resumption?.answers ?? [])
            + asked.compactMap { question in
                new.answerText(String(decoding: question.key, as: UTF8.self)).map {
                    RequestState.Answer(key: question.key, text: $0, question: question.question)
                }
            }
        open = answers.map { (String(decoding: $0.key, as: UTF8.self), $0.question) }
        responses = try InputResponses(answers.map { (String(decoding: $0.key, as: UTF8.self), $0.text) })
        // Without a resumption the state does not tell what was asked, and the retry may come once more.
        keys = open.map(\.key) + asked.map { String(decoding: $0.key, as: UTF8.self) } + new.keys
    }

    /// Keys that mean something to the client already.
    let keys: [String]

    /// The answer to a question, if it was given; once. One of the wrong shape was none.
    mutating func takeAnswer(
        for question: InputRequest, in revision: Revision
    ) -> (key: String, answer: InputAnswer)? {
        let digest = RequestState.digest(of: question)
        guard let index = open.firstIndex(where: { $0.question == digest }) else { return nil }
        let key = open.remove(at: index).key
        guard let answer = try? responses.inputAnswer(key, to: question, in: revision) else { return nil }
        return (key, answer)
    }
}
