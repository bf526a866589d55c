import JSONText
import MCP
import Translation

extension Handshake {
    /// The handshake, if this is the answer to `initialize`; nil for any other message, and for the answer to another's.
    ///
    /// - Throws: for an answer that says no, or that cannot be worked with.
    static func fromResponse(
        _ message: Envelope, answering introduction: Introduction
    ) throws(BackendError) -> Handshake? {
        let number = message.answeredRequest
        if let number, number != Int64(introduction.id) { return nil }
        if case .unclear = message.kind, number != nil {
            throw BackendError(.unavailable, "the answer to initialize has two outcomes or none, or is not JSON-RPC")
        }
        guard case .response(_, let outcome) = message.kind else { return nil }
        // Whose result one without an id is, is not known. Nothing else than initialize can have failed.
        if case .result = outcome, number == nil { return nil }
        guard case .result(let result) = outcome else {
            throw .refusedInitialize(Array(message.document.bytes.prefix(ServerWords.maxText)))
        }
        do throws(Handshake.Flaw) {
            return try Handshake(result, in: message.document, requesting: introduction.revision)
        } catch .unsupportedRevision(let spelled) {
            let shown = ServerWords.readableText(Array(spelled.utf8)) ?? ""
            throw BackendError(.unavailable, "the server speaks revision \"\(shown)\", which Remora does not")
        } catch {
            throw BackendError(.unavailable, "the result of initialize is no object, or says something twice")
        }
    }
}
