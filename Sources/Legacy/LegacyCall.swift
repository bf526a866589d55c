import HTTPWire
package import JSONText
package import MCP
import Translation

/// What a legacy server answered to a call.
package struct LegacyAnswer: Sendable {
    package let document: JSONDocument
    package let outcome: Envelope.Outcome
}

/// A request on its way through a session.
package final class LegacyCall {
    private let id: Int
    private let session: LegacySession
    private let exchange: BackendExchange
    private let credentials: Credentials

    init(id: Int, on session: LegacySession, exchange: BackendExchange, credentials: Credentials) {
        self.id = id
        self.session = session
        self.exchange = exchange
        self.credentials = credentials
    }

    /// Waits for the answer. What else comes on its stream is served on the way.
    package func answer() async throws(BackendError) -> LegacyAnswer {
        defer { exchange.abandon() }
        try await exchange.begun()
        guard exchange.isSuccess else { throw await refusal(try await exchange.head()) }
        while let text = try await exchange.next() {
            if let answer = try answer(in: text) { return answer }
        }
        throw BackendError(.outcomeUnknown, "the server ended its answer without a response")
    }

    /// The answer, if it is among what the server sent at once; the rest is served.
    private func answer(in text: [UInt8]) throws(BackendError) -> LegacyAnswer? {
        var answer: LegacyAnswer?
        var messages = try messages(in: text)
        while let message = messages.next() {
            switch message.kind {
            case .response(let id, let outcome):
                if let id, message.document.integer(id) == Int64(self.id) {
                    answer = LegacyAnswer(document: message.document, outcome: outcome)
                } else if !exchange.isStream {
                    throw BackendError(.outcomeUnknown, "the server answered another request than it was asked")
                }
            case .request:
                session.answer(message, credentials: credentials)
            case .notification:
                session.hear(message)
            }
        }
        return answer
    }

    /// What an answer means that holds no message.
    private func refusal(_ head: HTTPResponseHead) async -> BackendError {
        if head.status == 200 {
            return BackendError(
                .outcomeUnknown, "the server's answer is neither JSON nor an event stream; is it an MCP server?")
        }
        if await session.isLoss(head, of: exchange) {
            return BackendError(.sessionLost, "the server no longer knows the session")
        }
        if let refusal = BackendError.unauthorized(head) { return refusal }
        let isRejected = (400..<500).contains(head.status)
        return BackendError(
            isRejected ? .rejected(status: head.status) : .outcomeUnknown,
            "the server answered with HTTP \(head.status)")
    }

    private func messages(in text: [UInt8]) throws(BackendError) -> BackendMessages {
        do {
            return try session.read(text)
        } catch {
            throw BackendError(.outcomeUnknown, "the server sent something that is not JSON-RPC")
        }
    }

    /// Stops waiting, with `error` for whoever waits, and tells the server that nobody wants the answer any more.
    ///
    /// Closing the connection alone would not: until 2025-11-25 a disconnect is no cancellation (basic/transports).
    package func cancel(_ error: BackendError) {
        exchange.fail(with: error)
        session.notifyInBackground(
            ServerRequest.cancelled(requestID: id, reason: error.detail), credentials: credentials)
        // The Python SDK of that time breaks a session by a cancellation: it answers 200 and a broken stream for ever.
        if session.handshake.revision == .v2025_03_26 { session.lost() }
    }
}
