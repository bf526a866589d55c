/// What an answer leaves open: whether the server still knows the session, which it has to be asked.
struct SessionDoubt: Equatable {
    /// What it is asked.
    let question: SessionProbe.Question
    /// Whether no handler ran if the session is lost, so that the request can be sent again.
    let nothingRan: Bool
    /// Whether no answer to the question either is taken for a loss.
    let silenceIsLoss: Bool

    /// What is said of a session of the protocol rather than one that a tool has, in lower case.
    private static let plainWords = [
        "session not found", "could not find session", "no valid session", "invalid session", "unknown session",
        "missing session", "no such session", "session expired", "session has expired", "session terminated",
        "session has been terminated", "session does not exist", "not initialized", "before initialization",
    ]

    /// - Parameters:
    ///   - text: of the answer, in lower case.
    ///   - isRefusal: whether it refuses the request by its status.
    init(about text: String, isRefusal: Bool = false, silenceIsLoss: Bool = false) {
        // A server may answer `ping` before any handshake (2025-11-25, basic/lifecycle, "Initialization").
        question = SessionDoubt.speaksOfHandshakes(text) ? .list : .ping
        nothingRan = isRefusal || SessionDoubt.plainWords.contains { text.contains($0) }
        self.silenceIsLoss = silenceIsLoss
    }

    /// Whether the server lists anything in the session. The request was refused for what it is, so that nothing ran.
    static let byList = SessionDoubt(question: .list, nothingRan: true)

    private init(question: SessionProbe.Question, nothingRan: Bool) {
        self.question = question
        self.nothingRan = nothingRan
        silenceIsLoss = false
    }

    /// "Server not initialized", "received request before initialization was complete".
    static func speaksOfHandshakes(_ text: String) -> Bool { text.contains("initializ") }
}
