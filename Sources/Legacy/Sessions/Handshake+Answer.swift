import JSONText
import MCP
import Translation

extension Handshake {
    /// The handshake, if this is the answer to `initialize`; nil for any other message, and for the answer to another's.
    ///
    /// - Parameter request: the id of `initialize`.
    /// - Throws: for an answer that says no, or that cannot be worked with.
    static func from(_ message: Envelope, answering request: Int) throws(BackendError) -> Handshake? {
        guard case .response(let id, let outcome) = message.kind else { return nil }
        let number = id.flatMap { message.document.integer($0) }
        if let number, number != Int64(request) { return nil }
        guard case .result(let result) = outcome, number != nil else {
            throw BackendError(.unavailable, "the server refused initialize", isRefusal: true)
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
