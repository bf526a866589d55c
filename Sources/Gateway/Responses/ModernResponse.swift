import JSONText
import Legacy

/// What a request is answered with.
struct ModernResponse {
    let status: Int
    /// The JSON-RPC response.
    let text: SplicedText
    /// The code of the error that it is, if it is one.
    let code: Int?
}

/// What came of a request that was admitted.
enum RequestOutcome {
    case answered(ModernResponse)
    case refused(Refusal)
    case failed(BackendError)

    /// Whether it failed for want of a session: nothing of it reached a handler.
    var wasNeverSent: Bool {
        guard case .failed(let error) = self else { return false }
        return error.kind == .unavailable || error.kind == .sessionLost
    }
}
