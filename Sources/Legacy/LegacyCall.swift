import HTTPWire
package import JSONText
package import MCP
import Reactor
import Translation

/// What a legacy server answered to a call.
package struct LegacyAnswer: Sendable {
    package let document: JSONDocument
    package let outcome: Envelope.Outcome
}

/// A request on its way through a session. How its answer comes is the transport's part.
package class LegacyCall {
    /// What a call is, whatever carries it.
    struct Terms {
        let id: Int
        let session: LegacySession
        let credentials: Credentials
        /// When it fails if it has no answer.
        let end: Instant
        /// Hears the notifications. It makes the call, and ends it before it goes away.
        unowned let listener: (any CallListener)?
    }

    let terms: Terms

    init(_ terms: Terms) { self.terms = terms }

    final var id: Int { terms.id }

    /// Waits until the call has ended, once. What else comes on its account is served on the way.
    package func answer() async throws(BackendError) -> LegacyAnswer {
        preconditionFailure("a call without a transport")
    }

    /// A notification about this call, on whichever way it came.
    func hear(_ notification: Envelope, _ kind: ServerNotification) {
        terms.listener?.heard(notification, kind)
    }

    /// Ends the waiting with `error` for whoever waits.
    func fail(with error: BackendError) {
        preconditionFailure("a call without a transport")
    }

    /// Stops waiting, with `error` for whoever waits, and tells the server that nobody wants the answer any more.
    ///
    /// Closing the connection alone would not: until 2025-11-25 a disconnect is no cancellation (basic/transports).
    package final func cancel(_ error: BackendError) {
        fail(with: error)
        terms.session.cancel(id, reason: error.detail, credentials: terms.credentials)
    }
}
