import HTTPWire
package import JSONText
package import MCP
package import Reactor
import Translation

/// What a legacy server answered to a call.
package struct LegacyResponse: Sendable {
    package let document: JSONDocument
    package let outcome: Envelope.Outcome

    /// The code of an error; nil for a result, and for an error whose code is no integer.
    var errorCode: Int? {
        guard case .error(let error) = outcome else { return nil }
        return document.value("code", of: error).flatMap { document.integer($0) }.map { Int($0) }
    }

    /// The error of a call whose response is ``Envelope/Kind/unclear(id:)``.
    static let unclear = BackendError(
        .outcomeUnknown,
        "the server's answer has two outcomes or none, is not JSON-RPC, or is deeper than limits.max_depth")
}

/// Who waits for the answer to a call without a task: a task has frames, and for what nearly every call does, which is to
/// wait once, they are the larger part of what it holds and costs.
package protocol CallReader: Resumable {
    /// Something has come of the call. Told after the event that brought it.
    func messagesArrived()
}

extension CallReader {
    package func resumeWork() { messagesArrived() }
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
        /// Hears the notifications. It has the call, and ends it before it goes away.
        unowned fileprivate(set) var observer: (any CallObserver)?
    }

    final private(set) var terms: Terms
    /// Whether the server said anything of it before the answer.
    final var wasHeardOf = false
    /// In the session's ``OpenCalls``, which alone set it; nil where it is not among them.
    final var place: Int?

    init(_ terms: Terms) { self.terms = terms }

    /// Another has the call from now on, and hears of it.
    package final func handOver(to observer: any CallObserver) { terms.observer = observer }

    /// The id of the request toward the server.
    package final var id: Int { terms.id }

    /// Waits until the call has ended, once. What else comes on its account is served on the way.
    ///
    /// Where what came leaves it open whether the session lives, the server is asked first: see ``LegacySession/isLost(_:_:)``.
    package final func waitForResponse() async throws(BackendError) -> LegacyResponse {
        switch try await waitForReply() {
        case .answer(let answer):
            return answer
        case .doubted(let doubt, let otherwise):
            // Of what was heard, something ran, in a session that was there.
            if wasHeardOf { return try otherwise.get() }
            if await terms.session.isLost(doubt, terms.credentials) {
                if doubt.nothingRan { throw .sessionGone }
                terms.session.sessionLost()
            }
            return try otherwise.get()
        }
    }

    /// The same, without asking the server about the session.
    func waitForReply() async throws(BackendError) -> CallReply {
        // Both subclasses have their own.
        preconditionFailure("a call without a transport")
    }

    /// The response in a body whose status or type is not the one of messages. An error in the response to this request is about
    /// this request, whatever its id says: servers that failed before they read the request's id send none, or some word.
    ///
    /// - Parameters:
    ///   - status: of the HTTP answer.
    ///   - isAlone: whether no other request went over the connection before. Else what has not the id of this request could be
    ///     a second answer to another caller's, however wrong that is of a server.
    final func readReply(inBody body: [UInt8], _ status: Int, isAlone: Bool) throws(BackendError) -> CallReply? {
        for message in terms.session.readMessages(body) {
            let isOwn = message.answeredRequest == Int64(self.id)
            // Under another status that says enough.
            if isOwn, status < 300, case .unclear = message.kind { throw LegacyResponse.unclear }
            guard case .response(let id, let outcome) = message.kind else { continue }
            if !isOwn {
                guard isAlone, case .error = outcome, id == nil || status >= 400 else { continue }
            }
            let answer = LegacyResponse(document: message.document, outcome: outcome)
            guard terms.session.isKept else { return .answer(answer) }
            return try CallReply(answer, status: status, isOwn: isOwn)
        }
        return nil
    }

    // MARK: Without a task

    /// Tells `reader`, once, when something has come of the call. Returns false where something has, and where the
    /// transport cannot tell: nothing is told then.
    package func notifyReader(_ reader: any CallReader) -> Bool { false }

    /// The answer, where it has come; what came before it is served. Nil where there is more to wait for or to be seen to:
    /// ``notifyReader(_:)`` says whether ``waitForResponse()`` has to do it. After an answer and after an error the call is over.
    package func readyResponse() throws(BackendError) -> LegacyResponse? { nil }

    // MARK: Underway

    /// A notification about this call, on any way.
    func notificationArrived(_ notification: Envelope, _ kind: ServerNotification) {
        wasHeardOf = true
        terms.observer?.notificationArrived(notification, kind)
    }

    /// Its response, as a message that came another way.
    func responseArrivedElsewhere(_ message: [UInt8]) {}

    /// There is no other way any more on which its response could come.
    func cannotBeAnsweredElsewhere() {}

    /// Whether the server can have seen anything of it.
    var mayHaveBeenSeen: Bool { true }

    /// Whether its answer is there, and waits to be taken.
    var isOver: Bool { false }

    /// Ends the call with `error`, and the waiting for it.
    package func failCall(with error: BackendError) {
        // Both subclasses have their own.
        preconditionFailure("a call without a transport")
    }

    // MARK: Questions

    /// The server waits for an answer of the client: it may be silent for as long as that takes.
    package func suspendTimeout() {
        // Both subclasses have their own.
        preconditionFailure("a call without a transport")
    }

    /// The server has its answers, and something is expected of it again.
    ///
    /// - Parameters:
    ///   - end: when the call has taken too long.
    ///   - silence: how long the server may be silent now; nil for as long as ever.
    package func resumeTimeout(until end: Instant, silence: Duration?) {
        // Both subclasses have their own.
        preconditionFailure("a call without a transport")
    }

    /// Where another process could take up the stream of the response; `nil` if that is not possible.
    package var lastEventID: [UInt8]? { nil }

    // MARK: The end

    /// Cancels the request on the server, and goes on waiting for what it makes of that.
    package func askToStop(_ error: BackendError) {
        // A session of 2025-03-26 can only be told when its calls have ended, and does not live on.
        if terms.session.endsByCancellation { return cancelCall(error) }
        terms.session.cancelRequest(id, reason: error.detail, credentials: terms.credentials)
    }

    /// Fails the call with `error`, and cancels the request on the server.
    ///
    /// Closing the connection alone would not: until 2025-11-25 a disconnect is no cancellation (basic/transports).
    package final func cancelCall(_ error: BackendError) {
        failCall(with: error)
        guard mayHaveBeenSeen else { return }
        terms.session.cancelRequest(id, reason: error.detail, credentials: terms.credentials)
    }
}
