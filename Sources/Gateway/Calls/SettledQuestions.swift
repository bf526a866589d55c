import MCP
import Translation

/// Questions of one call that need no answer any more: they are answered, refused or withdrawn.
///
/// A stream that is taken up again may bring one a second time. Its id alone does not tell that: servers use ids again, though none may be
/// (2025-11-25, basic, "Requests"), and wait for an answer to each question.
struct SettledQuestions {
    private struct Settled: Hashable {
        /// As the server spelled it.
        let id: [UInt8]
        /// Of the whole message; nil where that is not known any more.
        let hash: Int?
    }

    /// More is a server that has lost its way.
    static let maxCount = 1000

    private var known: Set<Settled> = []
    /// How many there have been, up to ``maxCount``.
    private(set) var count = 0

    mutating func insertQuestion(_ question: InputRequest) {
        if let id = question.legacyID { insert(Settled(id: id, hash: question.messageHash)) }
    }

    /// One that the client was not asked.
    mutating func insertMessage(_ message: Envelope, id: [UInt8]) {
        insert(Settled(id: id, hash: InputRequest.hash(of: message)))
    }

    private mutating func insert(_ question: Settled) {
        // A server that asks without end is refused without end, and need not be remembered.
        guard count < SettledQuestions.maxCount, question.id.count <= InputRequest.maxID else { return }
        count += 1
        known.insert(question)
    }

    /// Whether a message is one of them, as far as is known.
    func containsMessage(_ message: Envelope, id: [UInt8]) -> Bool {
        known.contains(Settled(id: id, hash: nil))
            || known.contains(Settled(id: id, hash: InputRequest.hash(of: message)))
    }
}
