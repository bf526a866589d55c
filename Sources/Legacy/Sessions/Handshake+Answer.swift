import JSONText
import MCP
import Translation

extension Handshake {
    /// The handshake, if this is the answer to `initialize`; nil for any other message, and for the answer to another's.
    ///
    /// - Throws: for an answer that says no, or that cannot be worked with.
    static func from(
        _ message: Envelope, answering introduction: Introduction
    ) throws(BackendError) -> Handshake? {
        guard case .response(let id, let outcome) = message.kind else { return nil }
        let number = id.flatMap { message.document.integer($0) }
        if let number, number != Int64(introduction.id) { return nil }
        guard case .result(let result) = outcome, number != nil else {
            throw .refusedInitialize(Array(message.document.bytes.prefix(ServerWords.maxText)))
        }
        do throws(Handshake.Flaw) {
            return try Handshake(result, in: message.document, requesting: introduction.revision)
        } catch .unsupportedRevision(let spelled) {
            let shown = ServerWords.shown(Array(spelled.utf8)) ?? ""
            throw BackendError(.unavailable, "the server speaks revision \"\(shown)\", which Remora does not")
        } catch {
            throw BackendError(.unavailable, "the result of initialize is no object, or says something twice")
        }
    }
}
