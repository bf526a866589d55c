import MCP
import Translation

extension ModernResponse {
    /// An error of the server, which is an answer like any other.
    init(_ error: TranslatedError) {
        self.init(status: ModernResponse.httpStatus(of: error.code), text: error.text, code: error.code)
    }

    /// The codes for which the transport has a status (basic/transports/streamable-http; basic/index, "Per-request protocol
    /// fields").
    private static func httpStatus(of code: Int) -> Int {
        switch code {
        case ErrorCode.methodNotFound: 404
        case ErrorCode.missingRequiredClientCapability: 400
        default: 200
        }
    }
}
