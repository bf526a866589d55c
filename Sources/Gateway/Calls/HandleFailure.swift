import JSONText
import Legacy
import MCP
import Translation

extension RequestOutcome {
    /// A request without an answer of the server.
    ///
    /// - Parameter serverInfo: of the server's last session.
    static func ofFailure(
        _ error: BackendError, answering request: ModernRequest, _ serverInfo: ServerInfo?
    ) -> RequestOutcome {
        error.kind == .handleGone ? .handleGone(request, serverInfo) : .failed(error)
    }

    /// There is no session for the handle of a request. It is one answer, whatever was wrong with the handle.
    static func handleGone(_ request: ModernRequest, _ serverInfo: ServerInfo?) -> RequestOutcome {
        guard request.method == .callTool else { return .refused(.handleGone) }
        return .toolFailure(Refusal.handleGoneText, answering: request, serverInfo)
    }

    /// A result that says why a tool was not called.
    static func toolFailure(
        _ message: String, answering request: ModernRequest, _ serverInfo: ServerInfo?
    ) -> RequestOutcome {
        let text = MultiRoundTrip.toolFailure(message, serverInfo: serverInfo?.text, answering: request)
        return .answered(ModernResponse(status: 200, text: SplicedText(text), code: nil))
    }
}
