import Legacy

/// The kind of a `BackendError`, as metrics count it.
package enum BackendFailure: Int, CaseIterable, Sendable {
    case unavailable, noAnswer, outcomeUnknown, unauthorized, rejected, rateLimited, sessionLost, busy, silent, overdue,
        cancelled

    init(_ kind: BackendError.Kind) {
        self =
            switch kind {
            case .unavailable: .unavailable
            case .noAnswer: .noAnswer
            case .outcomeUnknown: .outcomeUnknown
            case .unauthorized: .unauthorized
            case .rejected: .rejected
            case .rateLimited: .rateLimited
            case .sessionLost, .handleGone: .sessionLost
            case .busy: .busy
            case .silent: .silent
            case .overdue: .overdue
            case .cancelled: .cancelled
            }
    }

    /// The value of the label.
    package var label: String {
        switch self {
        case .unavailable: "unavailable"
        case .noAnswer: "no_answer"
        case .outcomeUnknown: "outcome_unknown"
        case .unauthorized: "unauthorized"
        case .rejected: "rejected"
        case .rateLimited: "rate_limited"
        case .sessionLost: "session_lost"
        case .busy: "busy"
        case .silent: "idle_timeout"
        case .overdue: "request_timeout"
        case .cancelled: "cancelled"
        }
    }

    /// The same, for a person.
    package var words: String {
        switch self {
        case .unavailable: "cannot be reached, or no session"
        case .noAnswer: "connection ended before an answer"
        case .outcomeUnknown: "answer that cannot be used"
        case .unauthorized: "credentials refused"
        case .rejected: "request rejected"
        case .rateLimited: "too many requests"
        case .sessionLost: "session lost at once"
        case .busy: "no session free"
        case .silent: "silent for too long"
        case .overdue: "took too long"
        case .cancelled: "client went away"
        }
    }
}
