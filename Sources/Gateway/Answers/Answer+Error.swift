import MCP
import Translation

extension Answer {
    /// An error of the server, which is an answer like any other.
    init(_ error: TranslatedError) {
        // The only code whose status is not 200: the transport has one for it (basic/transports).
        self.init(status: error.code == ErrorCode.methodNotFound ? 404 : 200, text: error.text, code: error.code)
    }
}
