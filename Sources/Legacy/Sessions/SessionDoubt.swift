/// What an answer leaves open: whether the server still knows the session, which it has to be asked.
struct SessionDoubt: Equatable {
    /// What it is asked.
    let question: SessionProbe.Question
    /// Whether the answer already says that no handler ran, so that no answer to the question either is taken for a loss.
    let silenceIsLoss: Bool

    /// - Parameter text: of the answer, in lower case.
    init(about text: String, silenceIsLoss: Bool = false) {
        // A server may answer `ping` before any handshake (2025-11-25, basic/lifecycle, "Initialization").
        question = SessionDoubt.speaksOfHandshakes(text) ? .list : .ping
        self.silenceIsLoss = silenceIsLoss
    }

    /// "Server not initialized", "received request before initialization was complete".
    static func speaksOfHandshakes(_ text: String) -> Bool { text.contains("initializ") }
}
