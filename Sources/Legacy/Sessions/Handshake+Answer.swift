import JSONText
import MCP
import Translation

extension Handshake {
    /// The handshake, if this is the answer to `initialize`, whose id is 1; nil for any other message.
    ///
    /// - Throws: for an answer that says no, or that cannot be worked with.
    static func from(_ message: Envelope) throws(BackendError) -> Handshake? {
        guard case .response(let id, let outcome) = message.kind else { return nil }
        guard case .result(let result) = outcome, let id, message.document.integer(id) == 1 else {
            throw BackendError(.unavailable, "the server refused initialize")
        }
        do throws(Handshake.Flaw) {
            return try Handshake(result, in: message.document)
        } catch .malformed {
            throw BackendError(.unavailable, "the result of initialize is incomplete")
        } catch {
            throw BackendError(.unavailable, "the server speaks a revision that Remora does not")
        }
    }
}
