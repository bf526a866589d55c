import JSONText
import Legacy
import MCP
import Translation

/// How a call ended that clients may have been asked during.
enum Ending: Sendable {
    case answered(LegacyResponse, from: ServerInfo)
    /// - Parameter afterQuestions: whether a client was asked before: then what was done is lost with it.
    case failed(BackendError, afterQuestions: Bool)
    /// It was not sent again.
    case refused(Refusal)
    /// It goes on as a task.
    case task(TaskDescription, from: ServerInfo)

    /// Whether the server said that the call failed.
    var isFailure: Bool {
        guard case .answered(let answer, _) = self else { return false }
        return answer.isFailure
    }

    /// What a client gets that sent `request`.
    ///
    /// - Parameter serverInfo: of the server's last session.
    func requestOutcome(
        for request: ModernRequest, _ settings: GatewaySettings, _ serverInfo: ServerInfo?
    ) -> RequestOutcome {
        switch self {
        case .answered(let answer, let serverInfo):
            do throws(BackendError) {
                return try .ofResponse(answer, from: serverInfo, answering: request, settings.caching)
            } catch {
                return .failed(error)
            }
        case .failed(let error, let afterQuestions):
            if !afterQuestions { return .ofFailure(error, answering: request, serverInfo) }
            if error.losesInteraction { return .callLost(request, serverInfo) }
            var error = error
            error.isOfBegunCall = true
            return .failed(error)
        case .refused(let refusal):
            return .refused(refusal)
        case .task(let task, let serverInfo):
            guard request.declaresTasks else { return .refused(.needsTasks(hasRun: true)) }
            return .task(task, from: serverInfo, answering: request)
        }
    }
}

extension RequestOutcome {
    /// There is no call any more that could go on, and what it did before is not known.
    static func callLost(_ request: ModernRequest, _ serverInfo: ServerInfo?) -> RequestOutcome {
        callFailure(request, Refusal.interactionLostText, else: .interactionLost, serverInfo)
    }

    /// The user would not go where the server needs them to have been.
    static func pageDeclined(_ request: ModernRequest, _ serverInfo: ServerInfo?) -> RequestOutcome {
        callFailure(request, Refusal.declinedText, else: .declined, serverInfo)
    }

    /// - Parameter serverInfo: nil where no session was ever there that would know it.
    private static func callFailure(
        _ request: ModernRequest, _ text: String, else refusal: Refusal, _ serverInfo: ServerInfo?
    ) -> RequestOutcome {
        guard request.method == .callTool else { return .refused(refusal) }
        let text = MultiRoundTrip.toolFailure(text, serverInfo: serverInfo?.text, answering: request)
        return .answered(ModernResponse(status: 200, text: SplicedText(text), code: nil))
    }
}

extension BackendError {
    /// Whether the outcome of a call that had asked its client something is unknown.
    fileprivate var losesInteraction: Bool {
        switch kind {
        case .noAnswer, .outcomeUnknown, .sessionLost, .handleGone, .unavailable, .rejected: true
        case .unauthorized, .rateLimited, .busy, .silent, .overdue, .cancelled: false
        }
    }
}
