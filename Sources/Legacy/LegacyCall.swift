import HTTPWire
package import JSONText
package import MCP
package import Reactor
import Translation

/// What a legacy server answered to a call.
package struct LegacyAnswer: Sendable {
    package let document: JSONDocument
    package let outcome: Envelope.Outcome
}

/// Who waits for the answer to a call without a task: a task has frames, and for what nearly every call does, which is to
/// wait once, they are the larger part of what it holds and costs.
package protocol CallReader: Resumable {
    /// Something has come of the call. Told after the event that brought it.
    func news()
}

extension CallReader {
    package func resume() { news() }
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

    /// The id of the request toward the server.
    package final var id: Int { terms.id }

    /// Waits until the call has ended, once. What else comes on its account is served on the way.
    package func answer() async throws(BackendError) -> LegacyAnswer {
        // Both subclasses have their own.
        preconditionFailure("a call without a transport")
    }

    // MARK: Without a task

    /// Tells `reader`, once, when something has come of the call. Returns false where something has, and where the
    /// transport cannot tell: nothing is told then.
    package func tell(_ reader: any CallReader) -> Bool { false }

    /// The answer, where it has come; what came before it is served. Nil where there is more to wait for or to be seen to:
    /// ``tell(_:)`` says whether ``answer()`` has to do it. After an answer and after an error the call is over.
    package func readyAnswer() throws(BackendError) -> LegacyAnswer? { nil }

    // MARK: Underway

    /// A notification about this call, on whichever way it came.
    func hear(_ notification: Envelope, _ kind: ServerNotification) {
        terms.listener?.heard(notification, kind)
    }

    /// Whether the server can have seen anything of it.
    var mayHaveBeenSeen: Bool { true }

    /// Whether its answer is there, and waits to be taken.
    var isOver: Bool { false }

    /// Ends the waiting with `error` for whoever waits.
    package func fail(with error: BackendError) {
        // Both subclasses have their own.
        preconditionFailure("a call without a transport")
    }

    // MARK: Questions

    /// The server waits for an answer of the client: it may be silent for as long as that takes.
    package func suspend() {
        // Both subclasses have their own.
        preconditionFailure("a call without a transport")
    }

    /// The server has its answers, and something is expected of it again.
    ///
    /// - Parameters:
    ///   - end: when the call has taken too long.
    ///   - silence: how long the server may be silent now; nil for as long as ever.
    package func goOn(until end: Instant, silence: Duration?) {
        // Both subclasses have their own.
        preconditionFailure("a call without a transport")
    }

    /// Where another could take up the stream of the answer; nil where nobody could.
    package var lastEventID: [UInt8]? { nil }

    // MARK: The end

    /// Tells the server that nobody wants the answer any more, and goes on waiting for what it makes of that.
    package final func askToStop(_ error: BackendError) {
        // A session of 2025-03-26 can only be told when its calls have ended, and does not live on.
        if terms.session.endsByCancellation { return cancel(error) }
        terms.session.cancel(id, reason: error.detail, credentials: terms.credentials)
    }

    /// Stops waiting, with `error` for whoever waits, and tells the server that nobody wants the answer any more.
    ///
    /// Closing the connection alone would not: until 2025-11-25 a disconnect is no cancellation (basic/transports).
    package final func cancel(_ error: BackendError) {
        fail(with: error)
        guard mayHaveBeenSeen else { return }
        terms.session.cancel(id, reason: error.detail, credentials: terms.credentials)
    }
}
