import JSONText
import MCP

/// What came of a call that was sent, before it is known whether its session lives.
enum CallReply {
    case answer(LegacyResponse)
    /// The other is what came of it, unless the session turns out to be lost.
    case doubted(SessionDoubt, otherwise: Result<LegacyResponse, BackendError>)

    /// The reply to a call that was sent before: it may have run, also where the session turns out to be lost.
    var afterDispatch: CallReply {
        guard case .doubted(let doubt, let otherwise) = self else { return self }
        return .doubted(doubt.afterDispatch, otherwise: otherwise.mapError(\.afterDispatch))
    }

    /// An answer that came by JSON-RPC.
    ///
    /// - Parameters:
    ///   - status: of the HTTP answer in which it came; 200 where it came without one.
    ///   - isOwn: whether it has the id of the request.
    init(_ answer: LegacyResponse, status: Int = 200, isOwn: Bool = true) throws(BackendError) {
        guard case .error(let error) = answer.outcome else {
            self = .answer(answer)
            return
        }
        switch SessionLoss.errorVerdict(on: error, in: answer.document, status: status, isOwn: isOwn) {
        case .none: self = .answer(answer)
        case .doubt(let doubt): self = .doubted(doubt, otherwise: .success(answer))
        case .proof: throw .sessionGone
        }
    }
}
