import Crypto
import Legacy
import Translation

extension RequestState {
    /// Tells the caller from all others, at every replica.
    static func principalHash(of caller: Caller) -> [UInt8] { SHA256.digest(caller.identity) }

    /// The state of a call whose answers were taken by a loop that does not have it any more: it may have run with them, and they are not
    /// delivered once more.
    var afterDelivery: RequestState {
        var state = self
        state.phase = .dispatched
        state.resumption?.lastEventID = []
        return state
    }
}

extension RequestState.Resumption {
    /// The questions that the client has, if `responses` answer all of them; nil when not, since what they were is not known
    /// any more.
    func openQuestions(answeredBy responses: InputResponses) -> [InteractiveCall.Machine.Question]? {
        let questions = pending.map { question in
            InteractiveCall.Machine.Question(
                key: String(decoding: question.key, as: UTF8.self),
                request: InputRequest(asked: question.kind, legacyID: question.legacyID), isAsked: true)
        }
        let areAnswered = zip(questions, pending).allSatisfy { question, pending in
            !pending.legacyID.isEmpty
                && (try? responses.inputAnswer(question.key, to: question.request, in: revision)) != nil
        }
        return areAnswered && !questions.isEmpty ? questions : nil
    }
}

extension LegacySession.Lost {
    /// Nil where the server gave the call no session, or nothing runs there.
    init?(_ resumption: RequestState.Resumption) {
        guard !resumption.sessionID.isEmpty, let requestID = Int(exactly: resumption.legacyRequestID), requestID > 0
        else { return nil }
        self.init(
            sessionID: resumption.sessionID, cookies: resumption.cookies, revision: resumption.revision,
            requestID: requestID, lastEventID: resumption.lastEventID)
    }
}
