import HTTPTransport
import HTTPWire
import Reactor

/// One HTTP request to the backend and the messages of its answer, whether they come as JSON or as events.
///
/// It keeps the connection until the answer has ended, also when its reader has left: most servers end a stream right
/// after the response, and the connection is then good for the next call.
final class BackendExchange: HTTPResponseHandler {
    /// How long a stream may stay open after its reader has all that it wanted.
    private static let afterlife = Interval(.seconds(1))
    /// How long a response may take that no reader wants any more, on a connection that must not be closed for that.
    private static let remainder = Interval(.seconds(5))

    /// How long an exchange may take.
    enum Patience {
        /// Until this moment, and never silent for longer than `silence`; nil for the backend's own limit.
        case until(Instant, silence: Interval? = nil)
        /// For ever, once the answer has begun: a stream that waits for events.
        case endless
        /// The server waits for an answer of the client: nothing is expected of it.
        case suspended
    }

    /// How far the exchange is. A connection tells of its answer in the four states that have a connection, and in no other.
    private enum State {
        /// The request waits for a connection. Leads to `open`, `responseFailed`, `over`.
        case connecting
        /// The request, which may be sent once more, is on a kept connection, and nothing of the answer has come. Leads to
        /// `connecting` where the server closes the connection just then (RFC 9112 §9.3.1), and to all that `open` leads to.
        indirect case trying(HTTPClientConnection, HTTPMessage)
        /// The request is on a connection. Leads to `held`, `draining`, `responseArrivedElsewhere`, `responseFailed`.
        case open(HTTPClientConnection)
        /// The answer is not read on, because its reader does not keep up. Leads to `open`, and to all that it leads to.
        case held(HTTPClientConnection)
        /// What still comes of the answer is dropped, for the sake of the connection: the reader has left, or has got the
        /// error. Leads to `responseFailed` with an error, else to `over`.
        indirect case draining(HTTPClientConnection, BackendError?)
        /// All of the answer has come. Leads to `elsewhere`, `over`.
        case answered
        /// All of the answer has come, and the response is to come another way until this deadline. Leads to `responseFailed`, `over`.
        case elsewhere(Deadline)
        /// There will be no response. Leads nowhere.
        indirect case failed(BackendError)
        /// The reader has left, or the response can come no other way any more. Leads nowhere.
        case over
    }

    /// The head of the answer, for a task: a reader that waits for messages makes nothing of it. In a place of its own, because few
    /// exchanges have one.
    private indirect enum KeptHead {
        case none
        case head(HTTPResponseHead)
    }

    private let route: SessionRoute
    private var state = State.connecting
    private var patience: Patience
    /// Made when a task has to wait, which most need not: they have a reader.
    private var wakeup: Wakeup?
    private var reader: (any CallReader)?
    /// Whether no request of another session went over its connection before this one: then what comes on it is about no other caller.
    private(set) var isAlone = true
    /// Nil before it begins.
    private var answer: BackendResponse?
    private var answerHead = KeptHead.none
    private var messages = MessageQueue()
    private var budget = WorkBudget()
    /// Whether a message came in the answer.
    private(set) var hasDelivered = false
    private var wasAnsweredElsewhere = false

    /// Sends a request, on an idle connection or on a new one. What comes of it is told by `head` and `next`.
    ///
    /// - Parameters:
    ///   - isRepeatable: whether the request may arrive twice as it is, which none with an id of a session may.
    ///     It is then sent once more when the server closes a kept connection just as it is used again (RFC 9112 §9.3.1).
    ///   - route: takes note of what the answer says about it.
    init(
        _ request: HTTPMessage, by route: SessionRoute, patience: Patience, isRepeatable: Bool
    ) {
        self.route = route
        self.patience = patience
        while let idle = route.takeIdle() {
            if sendRequest(request, on: idle, isRepeatable: isRepeatable) {
                isAlone = idle.lastUser == route.number
                idle.lastUser = route.number
                return
            }
        }
        backend.loop.spawn { await self.connectAndSend(request) }
    }

    private var backend: Backend { route.backend }

    private func connectAndSend(_ request: HTTPMessage) async {
        do throws(BackendError) {
            let connection = try await route.connectionForRequest()
            guard case .connecting = state else { return route.putBack(connection) }
            isAlone = true
            connection.lastUser = route.number
            state = .open(connection)
            extendTimeout()
            connection.sendRequest(request, answersTo: self)
        } catch {
            if case .connecting = state { endExchange(.failed(error)) }
        }
    }

    /// Returns false where nothing of it left.
    private func sendRequest(_ request: HTTPMessage, on connection: HTTPClientConnection, isRepeatable: Bool) -> Bool {
        state = isRepeatable ? .trying(connection, request) : .open(connection)
        extendTimeout()
        if connection.trySend(request, answersTo: self) { return true }
        state = .connecting
        route.connectionLost()
        return false
    }

    private var connection: HTTPClientConnection? {
        switch state {
        case .trying(let connection, _), .open(let connection), .held(let connection), .draining(let connection, _):
            connection
        case .connecting, .answered, .elsewhere, .failed, .over: nil
        }
    }

    /// Whether nothing more comes, unless another way is looked at.
    private var hasEnded: Bool {
        switch state {
        case .answered, .failed, .over: true
        case .connecting, .trying, .open, .held, .draining, .elsewhere: false
        }
    }

    // MARK: Reading

    /// The head of the answer.
    func waitForHead() async throws(BackendError) -> HTTPResponseHead {
        try await waitForBeginning()
        // It is there until a reader takes over, which asks for no head.
        guard case .head(let head) = answerHead else {
            throw BackendError(.outcomeUnknown, "the head of the answer is gone")
        }
        return head
    }

    /// Waits until the head of the answer is there, or the response has come another way.
    func waitForBeginning() async throws(BackendError) {
        while answer == nil, messages.isEmpty {
            if let flaw { throw flaw }
            await readerWakeup().wait()
        }
    }

    /// Of the answer; nil before it begins.
    var status: Int? { answer?.status }

    /// Whether the answer is one that messages come in.
    var isSuccess: Bool {
        switch answer?.content {
        case .document, .events: true
        case .other, nil: false
        }
    }

    /// Whether the answer is a stream of events, on which messages to others may come too.
    var isStream: Bool { if case .events = answer?.content { true } else { false } }

    /// Whether messages have come or may come, in the answer or another way.
    var bringsMessages: Bool {
        switch state {
        case .elsewhere, .over: true
        case .connecting, .trying, .open, .held, .draining, .answered, .failed: isSuccess || !messages.isEmpty
        }
    }

    /// The next message; nil when the answer has ended.
    func nextMessage() async throws(BackendError) -> [UInt8]? {
        while true {
            if !mayGive { await backend.loop.nextTurn() }
            if let message = takeMessage() { return message }
            if let flaw { throw flaw }
            if hasEnded { return nil }
            await readerWakeup().wait()
        }
    }

    /// The next message, if it is there and may be given out in this turn of the loop: ``next()`` waits for the next one.
    func readyMessage() -> [UInt8]? { mayGive ? takeMessage() : nil }

    private var mayGive: Bool { budget.allowsMore(at: backend.loop.now) }

    /// Whether nothing has come yet of which a reader could make something.
    private var isWaiting: Bool {
        guard messages.isEmpty else { return false }
        switch state {
        case .connecting, .trying, .elsewhere: return true
        case .open, .held: return answer == nil || isSuccess
        case .draining, .answered, .failed, .over: return false
        }
    }

    /// See ``LegacyCall/notifyReader(_:)``.
    func notifyReader(_ reader: any CallReader) -> Bool {
        guard isWaiting else { return false }
        answerHead = .none
        self.reader = reader
        return true
    }

    private func readerWakeup() -> Wakeup {
        if let wakeup { return wakeup }
        let wakeup = Wakeup()
        self.wakeup = wakeup
        return wakeup
    }

    /// Something has come.
    private func signalReader() {
        wakeup?.signal()
        if !isWaiting, let reader = reader.take() { backend.loop.afterwards(reader) }
    }

    private func takeMessage() -> [UInt8]? {
        guard let message = messages.popFirst() else { return nil }
        budget.spendMessage()
        if case .held(let connection) = state, messages.heldBytes <= backend.limits.streamBuffer / 2 {
            state = .open(connection)
            extendTimeout()
            connection.resumeReading()
        }
        return message
    }

    /// The body of an answer that no messages come in, or the start of it, once all of it has come.
    func waitForBody() async -> [UInt8] {
        while !hasEnded { await readerWakeup().wait() }
        return answer?.otherText ?? []
    }

    /// Why the answer broke off, or did not come in time.
    var flaw: BackendError? {
        switch state {
        case .failed(let error): error
        case .draining(_, let error): error
        case .connecting, .trying, .open, .held, .answered, .elsewhere, .over: nil
        }
    }

    /// Whether nothing has come that is not read, and nothing will.
    var isExhausted: Bool { messages.isEmpty && hasEnded }

    /// How a stream of events that has ended is taken up again; nil when the server gave its events no ids.
    var resumption: StreamResumption? {
        guard case .events(let events) = answer?.content, !events.decoder.lastEventID.isEmpty else { return nil }
        return StreamResumption(lastEventID: events.decoder.lastEventID, retry: events.decoder.retry)
    }

    // MARK: What comes another way

    /// Something about this request came another way: the server is not silent.
    func heardElsewhere() { extendTimeout() }

    /// The response to this request came another way. It is taken once.
    func responseArrivedElsewhere(_ message: [UInt8]) {
        switch state {
        case .connecting, .trying, .open, .held, .answered, .elsewhere:
            if wasAnsweredElsewhere { return }
            wasAnsweredElsewhere = true
            messages.append(message)
            signalReader()
        case .draining, .failed, .over: break
        }
    }

    /// The answer has ended without the response: lets ``next()`` wait for it to come another way, for as long as an answer
    /// may take. Returns false where that was done before.
    func expectElsewhere() -> Bool {
        guard case .answered = state else { return false }
        let clock = Deadline(on: backend.loop)
        // The exchange has the clock, which ends with it.
        clock.onExpiry = { [unowned self] in endExchange(.failed(timeoutError)) }
        state = .elsewhere(clock)
        extendTimeout()
        return true
    }

    /// Whether the response can only come another way.
    var isExpectedElsewhere: Bool { if case .elsewhere = state { messages.isEmpty } else { false } }

    /// There is no other way any more.
    func expectElsewhereNoLonger() { if case .elsewhere = state { endExchange(.over) } }

    // MARK: Time

    /// Nothing is expected of the server until ``resumeTimeout(until:silence:)``: it waits for an answer of the client.
    func suspendTimeout() {
        patience = .suspended
        setTimeout(nil)
    }

    /// Something is expected of the server from now on.
    func resumeTimeout(until end: Instant, silence: Duration?) {
        patience = .until(end, silence: silence.map { Interval($0) })
        extendTimeout()
    }

    private func extendTimeout() {
        switch patience {
        case .until(let end, let silence):
            if case .held = state { return setTimeout(end) }
            setTimeout(.min(end, backend.loop.now + (silence ?? backend.silence)))
        case .endless: setTimeout(isSuccess ? nil : backend.loop.now + backend.silence)
        case .suspended: break
        }
    }

    private func setTimeout(_ instant: Instant?) {
        switch state {
        case .trying(let connection, _), .open(let connection), .held(let connection): connection.setTimeout(instant)
        case .elsewhere(let clock): clock.set(instant)
        case .connecting, .draining, .answered, .failed, .over: break
        }
    }

    private var timeoutError: BackendError {
        if case .until(let end, _) = patience, end <= .now {
            return BackendError(.overdue, "the call took longer than limits.request_timeout")
        }
        return BackendError(.silent, "the server sent nothing for limits.backend_idle_timeout")
    }

    // MARK: The end

    /// The reader has left. The rest of the answer is dropped.
    func abandonResponse() {
        switch state {
        case .trying(let connection, _), .open(let connection), .held(let connection):
            drainBody(connection, for: BackendExchange.afterlife, nil)
        case .connecting, .answered, .elsewhere: state = .over
        case .draining, .failed, .over: break
        }
        if !messages.isEmpty { messages = MessageQueue() }
    }

    private func drainBody(_ connection: HTTPClientConnection, for time: Interval, _ error: BackendError?) {
        if case .held = state { connection.resumeReading() }
        state = .draining(connection, error)
        _ = answer?.takeDocument()
        messages = MessageQueue()
        connection.setTimeout(backend.loop.now + time)
    }

    /// Ends the exchange from outside; the reader gets `error`.
    func failExchange(with error: BackendError) {
        if flaw != nil { return }
        guard route.pin != nil, let connection else { return closeExchange(.failed(error)) }
        // Its session would end with the connection, and the server could not be told.
        drainBody(connection, for: BackendExchange.remainder, error)
        signalReader()
    }

    /// Ends the exchange and its connection.
    private func closeExchange(_ end: State) {
        if let connection {
            connection.closeConnection()
            route.connectionLost()
        }
        self.endExchange(end)
    }

    /// - Parameter end: `responseArrivedElsewhere`, `responseFailed` or `over`. It holds unless the reader has got an error before.
    private func endExchange(_ end: State) {
        switch state {
        case .connecting, .trying, .open, .held, .elsewhere: state = end
        case .draining(_, let told): state = told.map { .failed($0) } ?? .over
        case .answered, .failed, .over: return
        }
        signalReader()
    }

    // MARK: HTTPResponseHandler

    func receivedHead(_ head: HTTPResponseHead) {
        if case .trying(let connection, _) = state { state = .open(connection) }
        route.noteResponse(head)
        if case .draining = state { return }
        answer = BackendResponse(head, maxMessage: backend.limits.maxMessage)
        let isSuccess = isSuccess
        if !isSuccess || reader == nil { answerHead = .head(head) }
        if isSuccess, let error = head.codingError { return closeExchange(.failed(error)) }
        extendTimeout()
        signalReader()
    }

    func receivedBody(_ body: Span<UInt8>) {
        if case .draining = state { return }
        switch answer?.content {
        case .document:
            extendTimeout()
            if answer?.keepBody(body) == false { tooLarge() }
        case .events(let events):
            decodeEvents(body, of: events)
        case .other:
            extendTimeout()
            // No response comes behind so much, and it may have no end: the exchange ends with what has come.
            if answer?.keepBody(body) == false { closeExchange(.answered) }
        // The head comes first.
        case nil: break
        }
    }

    private func decodeEvents(_ body: Span<UInt8>, of events: BackendResponse.Events) {
        var offset = 0
        do throws(SSEDecodeError) {
            while let event = try events.decoder.nextEvent(body, from: &offset) {
                if let text = event.jsonMessage(of: backend, route.passedOver) { keepMessage(text) }
            }
        } catch {
            return tooLarge()
        }
        // A comment says that the server lives, not that it works on the request.
        if !messages.isEmpty || events.decoder.isInsideEvent { extendTimeout() }
        if !messages.isEmpty { signalReader() }
    }

    /// Keeps a message for the reader. When it does not keep up, the server has to wait, and its silence is then no
    /// fault of its own.
    private func keepMessage(_ message: [UInt8]) {
        addMessage(message)
        guard messages.heldBytes > backend.limits.streamBuffer, case .open(let connection) = state else { return }
        state = .held(connection)
        connection.pauseReading()
        if case .until(let end, _) = patience { connection.setTimeout(end) }
    }

    private func addMessage(_ message: [UInt8]) {
        hasDelivered = true
        messages.append(message)
    }

    func responseEnded() {
        guard let connection else { return }
        if let document = answer?.takeDocument() { addMessage(document) }
        // The end came with what it was held for; the next request on it must be read.
        if case .held = state { connection.resumeReading() }
        route.putBack(connection)
        endExchange(.answered)
    }

    func responseFailed(_ error: HTTPClientError) {
        route.connectionLost()
        switch error {
        case .timedOut:
            endExchange(.failed(timeoutError))
        case .disconnected(answerBegan: false):
            guard case .trying(_, let request) = state else { return endExchange(.failed(BackendError(error))) }
            state = .connecting
            backend.loop.spawn { await self.connectAndSend(request) }
        case .disconnected, .notConnected, .malformed:
            endExchange(.failed(BackendError(error)))
        }
    }

    private func tooLarge() {
        let limit = "limits.max_response (\(backend.limits.maxMessage) bytes)"
        closeExchange(.failed(BackendError(.outcomeUnknown, "the answer is larger than \(limit)")))
    }
}
