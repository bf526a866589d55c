package import HTTPTransport
import HTTPWire

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
        /// The session is gone on the server; no handler ran.
        case sessionLost
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

    package init(_ kind: Kind, _ detail: String) { self.init(kind, detail, isRefusal: false) }

    init(_ kind: Kind, _ detail: String, isRefusal: Bool) {
        self.kind = kind
        self.detail = detail
        self.isRefusal = isRefusal
    }

    private static let challengeField = Array("www-authenticate".utf8)

    /// The error of an answer that refuses the caller's credentials; nil for any other answer.
    static func unauthorized(_ head: HTTPResponseHead) -> BackendError? {
        guard head.status == 401 || head.status == 403 else { return nil }
        let challenges = head.fields.lines(named: challengeField).map { Array($0.value.bytes) }
        return BackendError(
            .unauthorized(status: head.status, challenges: challenges), "the server answered with HTTP \(head.status)")
    }

    /// Whether it says of a server over HTTP+SSE that it is none, rather than one with which something is wrong.
    package var isNoEventStream: Bool { EventStreamTransport.isNotOffered(self) }

    /// Whether it says that no handler has run.
    package var isBeforeDispatch: Bool {
        switch kind {
        case .unavailable, .unauthorized, .sessionLost, .busy: true
        case .noAnswer, .outcomeUnknown, .rejected, .silent, .overdue, .cancelled: false
        }
    }

    /// The error as that of a call which waited for this request and was never sent: whatever became of the request, no
    /// handler of the call ran. What the client or the pool has to know by its kind stays as it is.
    package func beforeDispatch(of request: StaticString) -> BackendError {
        switch kind {
        case .unavailable, .unauthorized, .sessionLost, .busy, .cancelled: self
        case .rejected(let status): BackendError(.unavailable, detail, isRefusal: status == 400)
        case .outcomeUnknown, .noAnswer, .silent, .overdue: BackendError(.unavailable, "\(request): \(detail)")
        }
    }

    /// Nobody waits for the answer any more.
    package static let clientLeft = BackendError(.cancelled, "the client went away")

    /// The error as that of a call which was sent before: whatever could not be reached or was lost since, it may have run.
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
