import JSONText
import MCP
import Translation

/// Reads what a server says until it has answered `initialize`, whatever carries the messages: finds the answer, has pings answered,
/// and keeps what the session is to hear.
final class HandshakeReader<Message: EarlyMessage> {
    /// What the session is to hear, in the order in which it came. As many as ``LegacySession/maxEarlyQuestions``; what comes after is dropped.
    private(set) var early: [Message] = []
    /// Why something was passed over, for the error of a handshake that gets no answer.
    private(set) var flaw: ServerMessages.Flaw?

    /// Looks for the answer among messages that came at once.
    ///
    /// - Parameters:
    ///   - recognize: gives what the answer says; nil for any other message.
    ///   - pong: sends the answer to a `ping`.
    /// - Returns: nil where the answer is not among them.
    func findResponse<Answer>(
        among messages: some Sequence<Message>, recognize: (Message) throws(BackendError) -> Answer?,
        pong: ([UInt8]) async throws(BackendError) -> Void
    ) async throws(BackendError) -> Answer? {
        for message in messages {
            if let answer = try recognize(message) { return answer }
            if let text = message.pong {
                try await pong(text)
            } else if message.isForSession, early.count < LegacySession.maxEarlyQuestions {
                early.append(message)
            }
        }
        return nil
    }
}

extension HandshakeReader<Envelope> {
    /// Looks for the answer to Remora's own `initialize` among what came at once.
    ///
    /// - Parameter pong: sends the answer to a `ping`.
    /// - Returns: what the server agreed to; nil where that is not there.
    func findHandshake(
        among messages: ServerMessages, answering introduction: Introduction,
        pong: ([UInt8]) async throws(BackendError) -> Void
    ) async throws(BackendError) -> Handshake? {
        if let flaw = messages.flaw { self.flaw = flaw }
        return try await findResponse(
            among: messages,
            recognize: { (message) throws(BackendError) in try Handshake.fromResponse(message, answering: introduction)
            },
            pong: pong)
    }
}
