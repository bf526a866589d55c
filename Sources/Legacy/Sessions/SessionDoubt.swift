/// What an answer leaves open: whether the server still knows the session, which it has to be asked.
struct SessionDoubt: Equatable {
    /// What it is asked.
    let question: SessionProbe.Question
    /// Whether no handler ran if the session is lost, so that the request can be sent again.
    let nothingRan: Bool
    /// Whether no answer to the question either is taken for a loss.
    let silenceIsLoss: Bool

    /// Texts that are about a session of the protocol, in lower case. One that says more may be about a session that a tool has.
    private static let plainWords = [
        "session not found", "could not find session", "no valid session", "no valid session id provided",
        "invalid session", "unknown session",
        "missing session", "no such session", "session expired", "session has expired", "session terminated",
        "session has been terminated", "session does not exist", "not initialized",
        "received request before initialization was complete",
    ]

    /// - Parameters:
    ///   - text: of the answer, in lower case.
    ///   - isRefusal: whether it refuses the request by its status.
    ///   - mayBeOfTool: whether a tool may have written it, so that its words count only where they say nothing else.
    init(about text: String, isRefusal: Bool = false, mayBeOfTool: Bool = true, silenceIsLoss: Bool = false) {
        // A server may answer `ping` before any handshake (2025-11-25, basic/lifecycle, "Initialization").
        question = SessionDoubt.speaksOfHandshakes(text) ? .list : .ping
        nothingRan =
            isRefusal || SessionDoubt.saysNothingElse(text)
            || !mayBeOfTool && SessionDoubt.plainWords.contains { text.contains($0) }
        self.silenceIsLoss = silenceIsLoss
    }

    /// Whether it is still a legacy server. The request was refused for what it is, so that nothing ran.
    static let ofAnotherEra = SessionDoubt(question: .ping, nothingRan: true)

    /// The same about a request that takes up the stream of a call: the call may have run.
    var afterDispatch: SessionDoubt {
        SessionDoubt(question: question, nothingRan: false, silenceIsLoss: silenceIsLoss)
    }

    private init(question: SessionProbe.Question, nothingRan: Bool, silenceIsLoss: Bool = false) {
        self.question = question
        self.nothingRan = nothingRan
        self.silenceIsLoss = silenceIsLoss
    }

    /// Whether a text, or one of the strings in it where it is JSON, is one of ``plainWords`` and nothing else.
    private static func saysNothingElse(_ text: String) -> Bool {
        text.split(separator: "\"").contains { part in
            var part = part.drop(while: \.isWhitespace)
            while let last = part.last, last.isWhitespace || last == "." { part.removeLast() }
            for start in ["bad request: ", "server "] where part.hasPrefix(start) { part = part.dropFirst(start.count) }
            if part.hasSuffix(" id") { part = part.dropLast(3) }
            return plainWords.contains { part == $0 }
        }
    }

    /// "Server not initialized", "received request before initialization was complete".
    static func speaksOfHandshakes(_ text: String) -> Bool { text.contains("initializ") }
}
