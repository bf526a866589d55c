package import HTTPTransport
import HTTPWire
import Translation

/// Why the backend gave no answer that can be translated. It says where the request got to, because that decides
/// whether the client may send it again.
package struct BackendError: Error, Sendable {
    package enum Kind: Sendable, Equatable {
        /// No connection, or no session: nothing of the request reached a handler.
        case unavailable
        /// The request was sent, and the connection ended before a response: what became of it is not known.
        case noAnswer
        /// The request was sent, and what came is no response that can be worked with.
        case outcomeUnknown
        /// The backend refused the caller's credentials: status and each `WWW-Authenticate`.
        case unauthorized(status: Int, challenges: [[UInt8]])
        /// The backend refused the request with another 4xx.
        case rejected(status: Int)
        /// The backend takes no more requests for now (429); no handler ran.
        ///
        /// - Parameter retryAfter: when it does, as ``RetryAfter/publishedValue(_:)`` has it; nil where it did not say so.
        case rateLimited(retryAfter: [UInt8]?)
        /// The session is gone on the server; no handler ran.
        case sessionLost
        /// The session of a handle is gone, and no other takes its place; no handler ran.
        case handleGone
        /// Every session is in use.
        case busy
        /// The backend was silent for too long.
        case silent
        /// The call took longer than any call may.
        case overdue
        /// The client went away.
        case cancelled
    }

    package let kind: Kind
    /// What was seen, for a person; it never holds a credential or a session id.
    package let detail: String
    /// Whether a server that is well said no to what this caller asked of it: another's request may fare better.
    let isRefusal: Bool
    /// What the refusal of `initialize` says of the server's era.
    package let eraHint: EraHint
    /// What the server said when it refused `initialize`; empty elsewhere.
    let words: [UInt8]
    /// Whether the call of the request was begun by one before it, and may have run in part.
    package var isOfBegunCall = false

    package enum EraHint: Sendable {
        case none
        /// A server of 2026-07-28 may refuse in this way.
        case mayBeModern
        /// No other refuses so.
        case modern
    }

    package init(_ kind: Kind, _ detail: String) { self.init(kind, detail, isRefusal: false) }

    package init(
        _ kind: Kind, _ detail: String, isRefusal: Bool, eraHint: EraHint = .none, words: [UInt8] = []
    ) {
        self.kind = kind
        self.detail = detail
        self.isRefusal = isRefusal
        self.eraHint = eraHint
        self.words = words
    }

    /// The error of a server that refused `initialize` by a JSON-RPC error.
    static func refusedInitialize(_ response: [UInt8]) -> BackendError {
        let said = ServerWords.readableText(response).map { ": \($0)" } ?? ""
        return BackendError(
            .unavailable, "the server refused initialize\(said)", isRefusal: true,
            eraHint: ModernEvidence.isGiven(by: response) ? .modern : .mayBeModern, words: response)
    }

    /// The error of a server that refused `initialize` by this status.
    ///
    /// - Parameter body: the start of what came with it.
    static func refusedInitialize(by head: HTTPResponseHead, _ body: [UInt8]) -> BackendError {
        if let refusal = challenge(head) ?? rateLimited(head) { return refusal }
        let said = ServerWords.readableText(body).map { ": \($0)" } ?? " (is backends[].url its endpoint?)"
        let isRejection = (400..<500).contains(head.status)
        // These have reasons of their own, and come from what stands before a server too.
        let saysNothing = !isRejection || head.status == 408 || head.status == 429
        let hint: EraHint = saysNothing ? .none : ModernEvidence.isGiven(by: body) ? .modern : .mayBeModern
        return BackendError(
            isRejection ? .rejected(status: head.status) : .unavailable,
            "the server answered initialize with HTTP \(head.status)\(said)", isRefusal: false, eraHint: hint,
            words: body)
    }

    private static let challengeField = Array("www-authenticate".utf8)

    /// The error of an answer that refuses the caller's credentials; nil for any other answer.
    static func challenge(_ head: HTTPResponseHead) -> BackendError? {
        guard head.status == 401 || head.status == 403 else { return nil }
        let challenges = head.fields.lines(named: challengeField).map { Array($0.value.bytes) }
        return BackendError(
            .unauthorized(status: head.status, challenges: challenges), "the server answered with HTTP \(head.status)")
    }

    /// Whether an answer is a matter of credentials, whatever its body says.
    static func asksForCredentials(_ head: HTTPResponseHead) -> Bool {
        head.status == 401 || head.status == 403 && head.fields.first("www-authenticate") != nil
    }

    private static let retryField = Array("retry-after".utf8)

    /// The error of an answer that says that there were too many requests (RFC 6585 §4); nil for any other answer.
    static func rateLimited(_ head: HTTPResponseHead) -> BackendError? {
        guard head.status == 429 else { return nil }
        let value = head.fields.lines(named: retryField).first.map { Array($0.value.bytes) }
        return BackendError(
            .rateLimited(retryAfter: value.flatMap(RetryAfter.publishedValue)), "the server answered with HTTP 429")
    }

    /// The error of a call that was answered with this status and no response. A status of 4xx refuses the call, but for 410, which
    /// may be said of a call that ran when its session ended (``SessionLoss``).
    static func ofStatus(_ status: Int) -> BackendError {
        BackendError(
            (400..<500).contains(status) && status != 410 ? .rejected(status: status) : .outcomeUnknown,
            "the server answered with HTTP \(status)")
    }

    /// The server no longer knows the session.
    static let sessionGone = BackendError(.sessionLost, "the server no longer knows the session")

    /// The session of a handle has ended, or there never was one.
    package static let handleGone = BackendError(.handleGone, "the session of the handle is gone")

    /// Whether it says of a server over HTTP+SSE that it is none, rather than one with which something is wrong.
    package var isNoEventStream: Bool {
        switch kind {
        case .rejected, .outcomeUnknown: true
        default: false
        }
    }

    /// Whether it says that no handler has run.
    package var isBeforeDispatch: Bool {
        switch kind {
        case .unavailable, .unauthorized, .sessionLost, .handleGone, .busy, .rateLimited: true
        case .noAnswer, .outcomeUnknown, .rejected, .silent, .overdue, .cancelled: false
        }
    }

    /// The error of a call that waited for this request and was never sent: whatever became of the request, no handler of the
    /// call ran. What the client or the pool has to know by its kind stays as it is.
    package func beforeDispatch(of request: StaticString) -> BackendError {
        switch kind {
        case .unavailable, .unauthorized, .sessionLost, .handleGone, .busy, .rateLimited, .cancelled: self
        case .rejected(let status):
            BackendError(.unavailable, detail, isRefusal: status == 400, eraHint: eraHint, words: words)
        case .outcomeUnknown, .noAnswer, .silent: BackendError(.unavailable, "\(request): \(detail)")
        case .overdue: BackendError(.unavailable, "\(request): no answer for \(Backend.Limits.handshakeName)")
        }
    }

    /// No client waits for the response any more.
    package static let clientLeft = BackendError(.cancelled, "the client went away")

    /// The error of a call that was sent before: whatever could not be reached or was lost since, it may have run.
    var afterDispatch: BackendError { isBeforeDispatch ? BackendError(.noAnswer, detail) : self }

    package init(_ error: HTTPClientError) {
        switch error {
        case .notConnected(let system):
            self.init(.unavailable, "\(system)")
        case .disconnected(answerBegan: false):
            self.init(.noAnswer, "the connection ended before an answer")
        case .disconnected(answerBegan: true):
            self.init(.noAnswer, "the connection ended in the middle of the answer")
        case .timedOut:
            self.init(.silent, "the server was silent for too long")
        case .malformed(let flaw):
            self.init(.outcomeUnknown, "the answer is not HTTP/1.1: \(flaw)")
        }
    }
}
