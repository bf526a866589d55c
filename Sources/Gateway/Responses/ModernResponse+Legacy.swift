import JSONText
import Legacy
import MCP
import Translation

extension ModernResponse {
    /// What the server answered, for the client that sent `request`.
    init(
        _ answer: LegacyResponse, from serverInfo: ServerInfo, answering request: ModernRequest, _ caching: CachePolicy
    ) throws(BackendError) {
        do throws(TranslationError) {
            switch answer.outcome {
            case .result(let result):
                let context = ResultContext(serverInfo: serverInfo, caching: caching)
                let text = try ResultTranslation.modernResult(
                    result, in: answer.document, answering: request, with: context)
                self.init(status: 200, text: text, code: nil)
            case .error(let error):
                self.init(try ErrorTranslation.modernError(error, in: answer.document, answering: request))
            }
        } catch {
            throw BackendError(.outcomeUnknown, "the server's answer has a result or an error that is no object")
        }
    }
}

extension RequestOutcome {
    /// What an answer of the server is to the client.
    static func ofResponse(
        _ answer: LegacyResponse, from serverInfo: ServerInfo, answering request: ModernRequest, _ caching: CachePolicy
    ) throws(BackendError) -> RequestOutcome {
        if let missing = answer.capabilitiesForPages(request) {
            return .refused(.missingCapabilities(missing, hasRun: false))
        }
        return .answered(try ModernResponse(answer, from: serverInfo, answering: request, caching))
    }
}
