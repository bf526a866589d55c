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

/// A request on its way through a session.
package final class LegacyCall {
    let id: Int
    private let session: LegacySession
    private var exchange: BackendExchange
    private let credentials: Credentials
    private let end: Instant
    private var pause: Pause?
    private var cancellation: BackendError?
    /// Hears the notifications. It makes the call, and ends it before it goes away.
    private unowned let listener: (any CallListener)?

    init(
        id: Int, on session: LegacySession, exchange: BackendExchange, credentials: Credentials, until end: Instant,
        listener: (any CallListener)?
    ) {
        self.id = id
        self.session = session
        self.exchange = exchange
        self.credentials = credentials
        self.end = end
        self.listener = listener
    }

    /// Waits for the answer. What else comes on its stream is served on the way.
    package func answer() async throws(BackendError) -> LegacyAnswer {
        defer {
            exchange.abandon()
            session.ended(self)
        }
        var fruitless = 0
        while true {
            do throws(BackendError) {
                return try await streamedAnswer()
            } catch {
                guard error.kind == .noAnswer, fruitless < StreamResumption.maxFruitless,
                    let resumption = exchange.resumption
                else { throw error }
                fruitless = exchange.hasDelivered ? 1 : fruitless + 1
                try await resume(resumption)
            }
        }
    }

    private func streamedAnswer() async throws(BackendError) -> LegacyAnswer {
        try await exchange.begun()
        guard exchange.isSuccess else { throw await refusal(try await exchange.head()) }
        while let text = try await exchange.next() {
            if let answer = try answer(in: text) { return answer }
            if let listener, !listener.hasRoom { await listener.room() }
        }
        throw BackendError(.noAnswer, "the server ended its answer without a response")
    }

    /// Takes up a stream that ended before the response, as a server may let it on purpose.
    private func resume(_ resumption: StreamResumption) async throws(BackendError) {
        let pause = Pause(on: session.loop)
        self.pause = pause
        await pause.wait(resumption.delay)
        self.pause = nil
        if let cancellation { throw cancellation }
        exchange = session.resume(resumption, credentials: credentials, until: end)
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
                session.hear(message, on: self)
            }
        }
        return answer
    }

    /// A notification about this call, on whichever stream it came.
    func hear(_ notification: Envelope, _ kind: ServerNotification) {
        exchange.heardElsewhere()
        listener?.heard(notification, kind)
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
        guard (400..<500).contains(head.status) else {
            return BackendError(.outcomeUnknown, "the server answered with HTTP \(head.status)")
        }
        // It may mean the request or the session. A handler ran in neither case.
        if await !session.isAlive(credentials) {
            return BackendError(.sessionLost, "the server answered with HTTP \(head.status), and to ping neither")
        }
        return BackendError(.rejected(status: head.status), "the server answered with HTTP \(head.status)")
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
        cancellation = error
        pause?.end()
        exchange.fail(with: error)
        session.cancel(id, reason: error.detail, credentials: credentials)
    }
}
