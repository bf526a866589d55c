import HTTPWire
import JSONText
import MCP
import Reactor
import Translation

/// A call over Streamable HTTP: one request, and the answer to it, which may be a stream of messages.
final class StreamableCall: LegacyCall {
    private let transport: StreamableHTTP
    private var exchange: BackendExchange
    private var pause: Pause?
    private var cancellation: BackendError?
    /// When it fails if it has no answer.
    private var end: Instant
    /// Whether the server waits for an answer of the client, so that nothing is expected of it.
    private var isSuspended = false
    private var silence: Duration?
    /// Why something in the answer was passed over.
    private var flaw: ServerMessages.Flaw?
    /// The least between two attempts to take up a stream on which nothing is expected.
    private static let suspendedDelay: Duration = .seconds(1)

    init(_ terms: Terms, by transport: StreamableHTTP, _ exchange: BackendExchange) {
        self.transport = transport
        self.exchange = exchange
        end = terms.end
        super.init(terms)
    }

    /// Between the head of a stream and its end, where a server that does not know the stream lets it be an empty one.
    private static let proofTime: Duration = .milliseconds(100)

    /// Whether the server takes up a stream that another process had: it answers with one that does not end at once.
    func isTakenUp() async -> Bool {
        guard (try? await exchange.begun()) != nil, exchange.isSuccess, exchange.isStream else { return false }
        await Pause(on: terms.session.loop).wait(StreamableCall.proofTime)
        return !exchange.isExhausted
    }

    override func answer() async throws(BackendError) -> LegacyAnswer {
        defer { leave() }
        var fruitless = 0
        var hasResumed = false
        while true {
            do throws(BackendError) {
                return try await streamedAnswer()
            } catch {
                guard error.kind == .noAnswer, fruitless < StreamResumption.maxFruitless,
                    let resumption = exchange.resumption
                else { throw hasResumed ? error.afterDispatch : transport.meaning(of: error) }
                hasResumed = true
                // A server that waits for its client has nothing to say on a stream, however often it is taken up.
                if !isSuspended { fruitless = exchange.hasDelivered ? 1 : fruitless + 1 }
                try await resume(resumption)
            }
        }
    }

    private func streamedAnswer() async throws(BackendError) -> LegacyAnswer {
        try await exchange.begun()
        guard exchange.isSuccess else { throw await refusal(try await exchange.head()) }
        while true {
            if let listener = terms.listener, !listener.hasRoom { await listener.room() }
            guard let text = try await exchange.next() else {
                let hint = flaw.map { "; something in it is \($0.words)" } ?? ""
                throw BackendError(.noAnswer, "the server ended its answer without a response\(hint)")
            }
            if let answer = try answer(in: text) { return answer }
        }
    }

    private func leave() {
        exchange.abandon()
        terms.session.ended(self)
    }

    override func tell(_ reader: any CallReader) -> Bool { exchange.tell(reader) }

    override func readyAnswer() throws(BackendError) -> LegacyAnswer? {
        guard exchange.isSuccess else { return nil }
        do throws(BackendError) {
            while let text = exchange.ready() {
                if let answer = try answer(in: text) {
                    leave()
                    return answer
                }
                if terms.listener?.hasRoom == false { return nil }
            }
            return nil
        } catch {
            leave()
            throw error
        }
    }

    /// Takes up a stream that ended before the response, as a server may let it on purpose.
    private func resume(_ resumption: StreamResumption) async throws(BackendError) {
        let pause = Pause(on: terms.session.loop)
        self.pause = pause
        await pause.wait(isSuspended ? max(resumption.delay, StreamableCall.suspendedDelay) : resumption.delay)
        self.pause = nil
        if let cancellation { throw cancellation }
        exchange = transport.resume(resumption, credentials: terms.credentials, until: end)
        if isSuspended { exchange.suspend() } else { exchange.expect(until: end, silence: silence) }
    }

    /// The answer, if it is among what the server sent at once; the rest is served.
    ///
    /// - Throws: for an answer that cannot be read, and for a document that holds another's: that is all that comes.
    private func answer(in text: [UInt8]) throws(BackendError) -> LegacyAnswer? {
        var messages = terms.session.read(text)
        var answer: LegacyAnswer?
        var isAnothers = false
        while let message = messages.next() {
            switch message.kind {
            case .response(let id, let outcome):
                if message.answeredRequest == Int64(self.id) || (id == nil && outcome.isError) {
                    answer = answer ?? LegacyAnswer(document: message.document, outcome: outcome)
                } else {
                    isAnothers = true
                }
            case .unclear:
                if message.answeredRequest == Int64(self.id) { throw LegacyAnswer.unclear }
                isAnothers = true
            case .request, .notification:
                terms.session.hear(message, on: self, credentials: terms.credentials)
            }
        }
        if answer == nil, let problem = messages.flaw { flaw = problem }
        if answer != nil || exchange.isStream { return answer }
        if let flaw { throw BackendError(.outcomeUnknown, "the server's answer is \(flaw.words)") }
        if isAnothers {
            throw BackendError(.outcomeUnknown, "the server answered another request than it was asked")
        }
        return nil
    }

    override func hear(_ notification: Envelope, _ kind: ServerNotification) {
        exchange.heardElsewhere()
        super.hear(notification, kind)
    }

    /// What an answer means that holds no message.
    private func refusal(_ head: HTTPResponseHead) async -> BackendError {
        if head.status == 200 {
            return BackendError(
                .outcomeUnknown, "the server's answer is neither JSON nor an event stream; is it an MCP server?")
        }
        if await transport.isLoss(head, of: exchange) {
            return BackendError(.sessionLost, "the server no longer knows the session")
        }
        if let refusal = BackendError.unauthorized(head) { return refusal }
        guard (400..<500).contains(head.status) else {
            return BackendError(.outcomeUnknown, "the server answered with HTTP \(head.status)")
        }
        // It may mean the request or the session. A handler ran in neither case.
        if await !transport.isAlive(terms.session, credentials: terms.credentials) {
            return BackendError(.sessionLost, "the server answered with HTTP \(head.status), and to ping neither")
        }
        return BackendError(.rejected(status: head.status), "the server answered with HTTP \(head.status)")
    }

    override func suspend() {
        isSuspended = true
        exchange.suspend()
    }

    override func goOn(until end: Instant, silence: Duration?) {
        isSuspended = false
        self.end = end
        self.silence = silence
        exchange.expect(until: end, silence: silence)
    }

    override var lastEventID: [UInt8]? { exchange.resumption?.lastEventID }

    override func fail(with error: BackendError) {
        cancellation = error
        pause?.end()
        exchange.fail(with: error)
    }
}
