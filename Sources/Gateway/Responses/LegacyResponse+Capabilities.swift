import JSONText
import Legacy
import MCP
import Translation

/// Answers that say that the client would have had to declare more (2026-07-28, basic/index, "Per-request protocol fields").
extension LegacyResponse {
    /// Whether the server said that the call failed, by an error or by `isError`.
    var isFailure: Bool {
        guard case .result(let result) = outcome else { return true }
        return document.value("isError", of: result).flatMap { document.boolean($0) } == true
    }

    /// What the client has to declare to be sent to the pages without which the server did not run the call (`-32042`); nil where
    /// the answer is another.
    func capabilitiesForPages(_ request: ModernRequest) -> InputCapabilities? {
        guard case .error(let error) = outcome, request.method.supportsInputRequired,
            case .missing(let capabilities) = URLElicitationRequired(
                error, in: document, declared: InputCapabilities(request.clientCapabilities, in: request.document))
        else { return nil }
        return capabilities
    }
}
