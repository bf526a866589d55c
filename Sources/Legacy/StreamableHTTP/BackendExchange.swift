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
    /// How long an answer may take that nobody wants any more, on a connection that must not be closed for that.
    private static let remainder = Interval(.seconds(5))
    /// Messages that are given out in a turn of the loop. A server that sends small ones without end must not keep it to
    /// itself.
    private static let maxMessages = 64

    /// How long an exchange may take.
    enum Patience {
        /// Until this moment, and never silent for longer than the backend's limit.
        case until(Instant)
        /// For ever, once the answer has begun: a stream that waits for events.
        case endless
    }

    private enum Content {
        /// Nothing that can hold a message, or not known yet.
        case other
        case json
        case events
    }

    private let route: SessionRoute
    /// Made when a task has to wait, which most need not: they have a reader.
    private var wakeup: Wakeup?
    private var reader: (any CallReader)?
    private var patience: Patience
    /// Longest silence while something is expected; nil for the backend's own limit.
    private var silence: Interval?
    private var isSuspended = false
    /// Whether no request of another session went over its connection before this one: then what comes on it is about no other caller.
    private(set) var isAlone = true
    private var connection: HTTPClientConnection?
    /// Of the answer; 0 before it begins.
    private(set) var status = 0
    /// Until a reader waits for messages: it makes nothing of it any more.
    private var responseHead: HTTPResponseHead?
    private var content = Content.other
    private var json: [UInt8] = []
    /// A body of another status or type than messages have: all of one that may be JSON, of which it can be the response all
    /// the same, and else its start, in which words are looked for.
    private var otherBody: [UInt8] = []
    private var maxOtherBody = SessionLoss.maxText
    /// Bytes of it that have come.
    private var otherCount = 0
    /// Stands in for the connection's timer when the answer has ended and the response is to come another way.
    private var clock: Deadline?
    private var wasAnsweredElsewhere = false
    private var events: SSEDecoder
    private var messages = MessageQueue()
    /// Messages that were given out in the turn of the loop that began at `turn`.
    private var given = 0
    private var turn = Instant(nanoseconds: 0)
    private var isPaused = false
    /// Whether a message came.
    private(set) var hasDelivered = false
    private var failure: BackendError?
    private var hasEnded = false
    private var isAbandoned = false
    /// The request, as long as it may be sent once more.
    private var spare: HTTPMessage?

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
        events = SSEDecoder(maxEvent: route.backend.limits.maxMessage)
        while let idle = route.takeIdle() {
            if isRepeatable { spare = request }
            if send(request, on: idle) {
                isAlone = idle.lastUser == route.number
                idle.lastUser = route.number
                return
            }
        }
        backend.loop.spawn { await self.connect(request) }
    }

    private var backend: Backend { route.backend }

    private func connect(_ request: HTTPMessage) async {
        do throws(BackendError) {
            let connection = try await route.connect()
            if hasEnded { return route.putBack(connection) }
            isAlone = true
            connection.lastUser = route.number
            self.connection = connection
            expectMore()
            connection.send(request, answersTo: self)
        } catch {
            if !hasEnded { end(error) }
        }
    }

    /// Returns false where nothing of it left.
    private func send(_ request: HTTPMessage, on connection: HTTPClientConnection) -> Bool {
        self.connection = connection
        expectMore()
        if connection.trySend(request, answersTo: self) { return true }
        self.connection = nil
        route.lost()
        return false
    }

    // MARK: Reading

    /// The head of the answer.
    func head() async throws(BackendError) -> HTTPResponseHead {
        try await begun()
        // It is there until a reader takes over, which asks for no head.
        guard let responseHead else { throw BackendError(.outcomeUnknown, "the head of the answer is gone") }
        return responseHead
    }

    /// Waits until the head of the answer is there, or the response has come another way.
    func begun() async throws(BackendError) {
        while status == 0, messages.isEmpty {
            if let failure { throw failure }
            await news().wait()
        }
    }

    /// Whether the answer is one that messages come in.
    var isSuccess: Bool { content != .other }

    /// Whether messages have come or may come, in the answer or another way.
    var bringsMessages: Bool { isSuccess || !messages.isEmpty || clock != nil }

    /// The next message; nil when the answer has ended.
    func next() async throws(BackendError) -> [UInt8]? {
        while true {
            if !mayGive { await backend.loop.nextTurn() }
            if let message = takeMessage() { return message }
            if let failure { throw failure }
            if hasEnded { return nil }
            await news().wait()
        }
    }

    /// The next message, if it is there and may be given out in this turn of the loop: ``next()`` waits for the next one.
    func ready() -> [UInt8]? { mayGive ? takeMessage() : nil }

    private var mayGive: Bool {
        let now = backend.loop.now
        if turn != now { (turn, given) = (now, 0) }
        return given < BackendExchange.maxMessages
    }

    /// Whether nothing has come yet of which a reader could make something.
    private var isWaiting: Bool {
        messages.isEmpty && failure == nil && !hasEnded && (status == 0 || isSuccess || clock != nil)
    }

    /// See ``LegacyCall/tell(_:)``.
    func tell(_ reader: any CallReader) -> Bool {
        guard isWaiting else { return false }
        if responseHead != nil { responseHead = nil }
        self.reader = reader
        return true
    }

    private func news() -> Wakeup {
        if let wakeup { return wakeup }
        let wakeup = Wakeup()
        self.wakeup = wakeup
        return wakeup
    }

    /// Something has come.
    private func signal() {
        wakeup?.signal()
        if !isWaiting, let reader = reader.take() { backend.loop.afterwards(reader) }
    }

    private func takeMessage() -> [UInt8]? {
        guard let message = messages.popFirst() else { return nil }
        given += 1
        if isPaused, messages.heldBytes <= backend.limits.streamBuffer / 2 {
            isPaused = false
            expectMore()
            connection?.resumeReading()
        }
        return message
    }

    /// The body of an answer that no messages come in, or the start of it, once all of it has come.
    func body() async -> [UInt8] {
        while !hasEnded { await news().wait() }
        return otherBody
    }

    /// Whether the answer is a stream of events, on which messages to others may come too.
    var isStream: Bool { content == .events }

    /// Why the answer broke off, or did not come in time.
    var flaw: BackendError? { failure }

    /// Whether nothing has come that is not read, and nothing will.
    var isExhausted: Bool { messages.isEmpty && hasEnded }

    /// How a stream of events that has ended is taken up again; nil when the server gave its events no ids.
    var resumption: StreamResumption? {
        guard content == .events, !events.lastEventID.isEmpty else { return nil }
        return StreamResumption(lastEventID: events.lastEventID, retry: events.retry)
    }

    // MARK: What comes another way

    /// Something about this request came another way: the server is not silent.
    func heardElsewhere() { expectMore() }

    /// The response to this request came another way. It is taken once.
    func answered(elsewhere message: [UInt8]) {
        guard !isAbandoned, failure == nil, !wasAnsweredElsewhere else { return }
        wasAnsweredElsewhere = true
        messages.append(message)
        signal()
    }

    /// The answer has ended without the response: lets ``next()`` wait for it to come another way, for as long as an answer
    /// may take. Returns false where that was done before.
    func expectElsewhere() -> Bool {
        guard hasEnded, failure == nil, clock == nil else { return false }
        hasEnded = false
        let clock = Deadline(on: backend.loop)
        // The exchange has the clock, which ends with it.
        clock.onExpiry = { [unowned self] in end(timeoutError) }
        self.clock = clock
        expectMore()
        return true
    }

    /// Whether the response can only come another way.
    var isExpectedElsewhere: Bool { clock != nil && !hasEnded && messages.isEmpty }

    /// There is no other way any more.
    func expectElsewhereNoLonger() { if clock != nil, !hasEnded { end(nil) } }

    private func setTimeout(_ instant: Instant?) {
        connection?.setTimeout(instant)
        clock?.set(instant)
    }

    // MARK: Time

    /// Nothing is expected of the server until ``expect(until:silence:)``: it waits for somebody else.
    func suspend() {
        isSuspended = true
        setTimeout(nil)
    }

    /// Something is expected of the server from now on.
    func expect(until end: Instant, silence: Duration?) {
        isSuspended = false
        patience = .until(end)
        self.silence = silence.map { Interval($0) }
        expectMore()
    }

    /// The reader has left. The rest of the answer is dropped, and where there is none the exchange has ended.
    func abandon() {
        if !isAbandoned { drop(for: BackendExchange.afterlife) }
        if connection == nil { hasEnded = true }
    }

    private func drop(for time: Interval) {
        isAbandoned = true
        messages = MessageQueue()
        clock?.set(nil)
        connection?.resumeReading()
        connection?.setTimeout(backend.loop.now + time)
    }

    /// Ends the exchange from outside; the reader gets `error`.
    func fail(with error: BackendError) {
        guard failure == nil, !hasEnded else { return }
        guard route.pin != nil, connection != nil else { return cut(error) }
        // Its session would end with the connection, and nobody could tell the server that.
        failure = error
        drop(for: BackendExchange.remainder)
        signal()
    }

    /// Ends the exchange and its connection.
    private func cut(_ error: BackendError) {
        guard failure == nil, !hasEnded else { return }
        if let connection {
            connection.close()
            route.lost()
        }
        end(error)
    }

    private func expectMore() {
        if isAbandoned { return }
        if isSuspended { return }
        let endOfSilence = backend.loop.now + (silence ?? backend.silence)
        switch patience {
        case .until(let end): setTimeout(isPaused ? end : min(end, endOfSilence))
        case .endless: connection?.setTimeout(isSuccess ? nil : endOfSilence)
        }
    }

    private var timeoutError: BackendError {
        if case .until(let end) = patience, end <= .now {
            return BackendError(.overdue, "the call took longer than limits.request_timeout")
        }
        return BackendError(.silent, "the server sent nothing for limits.backend_idle_timeout")
    }

    // MARK: HTTPResponseHandler

    func received(_ head: HTTPResponseHead) {
        status = head.status
        responseHead = head
        if spare != nil { spare = nil }
        route.take(head)
        if case .bytes(let count) = head.bodyLength, count <= backend.limits.maxMessage { json.reserveCapacity(count) }
        let type = (200..<300).contains(head.status) ? head.fields.first("content-type") : nil
        if type?.isMediaType("application/json") == true {
            content = .json
        } else if type?.isMediaType("text/event-stream") == true {
            content = .events
        }
        if content != .other, let error = head.codingError { return cut(error) }
        expectMore()
        signal()
    }

    func received(body: Span<UInt8>) {
        if isAbandoned { return }
        switch content {
        case .other:
            expectMore()
            keepOther(body)
        case .json:
            expectMore()
            guard json.count + body.count <= backend.limits.maxMessage else { return tooLarge() }
            json.append(body, upTo: backend.limits.maxMessage)
        case .events:
            decodeEvents(body)
        }
    }

    /// Keeps what something can be made of. A body that is larger than a message may be is read no further: no response comes
    /// behind it, and it may have no end.
    private func keepOther(_ body: Span<UInt8>) {
        var start = 0
        if otherBody.isEmpty {
            // White space before the rest says nothing, however much of it comes.
            while start < body.count, body[start] <= UInt8(ascii: " ") { start += 1 }
            if start < body.count, body[start] == UInt8(ascii: "{") || body[start] == UInt8(ascii: "[") {
                maxOtherBody = backend.limits.maxMessage
            }
        }
        let room = max(0, maxOtherBody - otherBody.count)
        otherBody.append(body, start..<start + min(room, body.count - start))
        otherCount += body.count
        if otherCount > backend.limits.maxMessage { leaveUnread() }
    }

    /// Ends the exchange with what has come, and its connection with the rest.
    private func leaveUnread() {
        connection?.close()
        route.lost()
        end(nil)
    }

    private func decodeEvents(_ body: Span<UInt8>) {
        var offset = 0
        do throws(SSEDecodeError) {
            while let event = try events.next(body, from: &offset) {
                if let text = event.message(of: backend, route.passedOver) { keep(text) }
            }
        } catch {
            return tooLarge()
        }
        // A comment says that the server lives, not that it works on the request.
        if !messages.isEmpty || events.isInsideEvent { expectMore() }
        if !messages.isEmpty { signal() }
    }

    /// Keeps a message for the reader. When it does not keep up, the server has to wait, and its silence is then no
    /// fault of its own.
    private func keep(_ message: [UInt8]) {
        add(message)
        guard messages.heldBytes > backend.limits.streamBuffer, !isPaused else { return }
        isPaused = true
        connection?.pauseReading()
        if !isSuspended, case .until(let end) = patience { connection?.setTimeout(end) }
    }

    private func add(_ message: [UInt8]) {
        hasDelivered = true
        messages.append(message)
    }

    func finished() {
        if content == .json, !isAbandoned, !json.isEmpty { add(json) }
        json = []
        if let connection {
            // The end came with what it was paused for; the next request on it must be read.
            if isPaused { connection.resumeReading() }
            route.putBack(connection)
        }
        end(nil)
    }

    func failed(_ error: HTTPClientError) {
        route.lost()
        switch error {
        case .timedOut:
            end(timeoutError)
        case .disconnected(answerBegan: false):
            guard let request = spare.take() else { return end(BackendError(error)) }
            connection = nil
            backend.loop.spawn { await self.connect(request) }
        case .disconnected, .notConnected, .malformed:
            end(BackendError(error))
        }
    }

    private func tooLarge() {
        cut(
            BackendError(
                .outcomeUnknown, "the answer is larger than limits.max_response (\(backend.limits.maxMessage) bytes)"))
    }

    private func end(_ error: BackendError?) {
        hasEnded = true
        failure = failure ?? error
        connection = nil
        clock?.set(nil)
        signal()
    }
}
