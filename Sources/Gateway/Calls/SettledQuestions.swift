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

    /// For each, how often streams of the session had been taken up when it came.
    private var known: [Settled: Int] = [:]
    /// How many there have been, up to ``maxCount``.
    private(set) var count = 0

    mutating func insertQuestion(_ question: InputRequest) {
        guard let id = question.legacyID else { return }
        insert(Settled(id: id, hash: question.messageHash), question.resumptions)
    }

    /// One that the client was not asked.
    mutating func insertMessage(_ message: Envelope, id: [UInt8], resumptions: Int) {
        insert(Settled(id: id, hash: InputRequest.hash(of: message)), resumptions)
    }

    private mutating func insert(_ question: Settled, _ resumptions: Int) {
        // A server that asks without end is refused without end, and need not be remembered.
        guard count < SettledQuestions.maxCount, question.id.count <= InputRequest.maxID else { return }
        count += 1
        known[question] = resumptions
    }

    /// Whether a message is one of them once more, as far as is known.
    ///
    /// - Parameter resumptions: how often streams of the session have been taken up by now.
    func containsMessage(_ message: Envelope, id: [UInt8], resumptions: Int) -> Bool {
        // Of what another replica was told no message is known: the stream was taken up since.
        if known[Settled(id: id, hash: nil)] != nil { return true }
        return known[Settled(id: id, hash: InputRequest.hash(of: message))].map { $0 < resumptions } ?? false
    }
}

extension InputRequest {
    /// Whether a message of the server with the same id is this question once more.
    func isSame(as message: Envelope) -> Bool { messageHash.map { $0 == InputRequest.hash(of: message) } ?? true }
}
