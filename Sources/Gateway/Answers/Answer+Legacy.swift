import JSONText
import Legacy
import MCP
import Translation

extension Answer {
    /// What the server answered, for the client that sent `request`.
    init(
        _ answer: LegacyAnswer, from serverInfo: ServerInfo, answering request: ModernRequest, _ caching: CachePolicy
    ) throws(BackendError) {
        do throws(TranslationError) {
            switch answer.outcome {
            case .result(let result):
                let context = ResultContext(serverInfo: serverInfo, caching: caching)
                let text = try ResultTranslation.modern(result, in: answer.document, answering: request, with: context)
                self.init(status: 200, text: text, code: nil)
            case .error(let error):
                self.init(try ErrorTranslation.modern(error, in: answer.document, answering: request))
            }
        } catch {
            throw BackendError(.outcomeUnknown, "the server's answer has a result or an error that is no object")
        }
    }
}

extension RequestOutcome {
    /// What an answer of the server is to the client.
    static func of(
        _ answer: LegacyAnswer, from serverInfo: ServerInfo, answering request: ModernRequest, _ caching: CachePolicy
    ) throws(BackendError) -> RequestOutcome {
        if let missing = answer.capabilitiesForPages(request) {
            return .refused(.missingCapabilities(missing, hasRun: false))
        }
        return .answered(try Answer(answer, from: serverInfo, answering: request, caching))
    }
}
