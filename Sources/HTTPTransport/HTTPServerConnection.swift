package import HTTPWire
package import Reactor

/// One client's HTTP/1.1 connection: requests come out whole and one at a time, answers go in.
///
/// A request that is pipelined behind another waits, unread as far as possible, until that one is answered.
package final class HTTPServerConnection: SocketHandler {
    /// What comes out of a connection.
    package enum Arrival {
        case request(HTTPServerRequest)
        /// Something that cannot be answered and gone on from: answer it with `closing` set.
        case flawed(HTTPRequestFlaw)
        /// The client has gone, or was silent for too long.
        case closed
    }

    /// What ``onRequest`` makes of a request.
    package enum Handling {
        /// It is being answered. ``requestServed()`` says when it is over, perhaps before `onRequest` returns: nothing may be done
        /// with the request after that.
        case taken
        /// It has been answered.
        case answered
        /// It comes out of ``next()``, to be answered by the connection's task.
        case left
    }

    private enum Phase {
        /// Nothing of a request has come. Leads to `head`, `closed`.
        case idle
        /// Leads to `body`, `arrived`, `closed`.
        case head
        /// The time for it may be running: it is not for one that comes with its head. Leads to `arrived`, `closed`.
        case body(isTimed: Bool)
        /// Something waits to be taken. Leads to `serving`.
        case arrived
        /// Its answer is being made. Leads to `idle`, `closing`, `closed`.
        case serving(Server)
        /// The last answer is written; what still comes is read and dropped, so that the client can read that answer
        /// before a reset takes it away. Leads to `closed`.
        case closing
        case closed
    }

    /// Who sees to it that a request is over.
    private enum Server {
        /// The owner that ``onRequest`` gave it to. Leads to `task`, by ``requestServed()``.
        case handler
        /// The connection's task, by its next call of ``next()``.
        case task
    }

    /// How far the answer is. It changes in `serving` only; `written` before the first request.
    private enum Answer {
        /// Nothing of it is written. Leads to `streaming`, `written`.
        case due
        /// Its head is, or waits in `streamHead`. Leads to `written`.
        case streaming(Framing)
        case written
    }

    private enum Framing {
        case chunked
        /// Bytes that are still due of those that were said.
        case bytes(Int)
        /// By nothing, or by the end of the connection.
        case none
    }

    /// Bytes of pipelined requests that are kept while one is served; beyond them the client has to wait.
    private static let maxUnread = 64 * 1024
    /// Bytes of these that are decoded in a turn of the loop. A request of small chunks takes far longer than one of as many bytes.
    private static let maxDecoded = 16 * 1024
    /// How long a refused client may go on sending before the connection is cut, and how long one that sends no more
    /// may wait for an answer.
    private static let lingerTimeout: Duration = .seconds(5)
    /// How long an idle connection may still bring a request when the service is to end. A client that calls all the time
    /// is told with its next answer, and loses nothing; one that does not finds out before it calls again.
    private static let drainTime: Duration = .seconds(1)

    private let socket: Socket
    /// The names of the subject of the client's verified certificate; nil where it showed none.
    package let clientSubject: [UInt8]?
    /// The client's address in digits, without a port and brackets; nil where it has none, as on a Unix socket.
    package var clientAddress: String? { socket.peer?.host }
    private let loop: Loop
    private let limits: Limits
    /// Of the limits, what is needed for each request.
    private let idleTimeout: Interval
    private let silenceTimeout: Interval
    private let deadline: Deadline
    private let wakeup = Wakeup()
    private var decoder: HTTPRequestDecoder
    private var phase = Phase.idle
    /// What waits to be taken: in `arrived`, and in `serving` where ``onRequest`` has left it.
    private var arrival: Arrival?
    /// Of the request that is read, in `body`.
    private var head: HTTPRequestHead?
    private var body: [UInt8] = []
    /// What came of requests that are not read yet, from `unreadStart` on.
    private var unread: [UInt8] = []
    private var unreadStart = 0
    /// Whether the loop is to call ``resumeWork()``.
    private var isScheduled = false
    private var keepAlive = true
    /// RFC 9110 §9.3.2: the answer to HEAD has the fields of the answer to GET, and no body.
    private var isHead = false
    /// HTTP/1.0 knows no chunks: there a stream ends with the connection.
    private var isChunkable = true
    private var answer = Answer.written
    /// Whether the maker of the response wants to know when it is silent.
    private var watchesSilence = false
    /// The head of a stream whose first bytes are about to come: they leave together.
    private var streamHead: [UInt8] = []
    private var unsentAtLastLook = 0
    /// When the client last took something of a streamed answer, or had nothing to take.
    private var lastTaken: Instant
    private var isDraining = false
    /// Whether the client sends no more. It may still read, which cannot be seen.
    private var hasPeerEnded = false

    /// Shown each head before a byte of its body is read. What it returns is the answer, and the connection's last; nil has the
    /// body read.
    package var onHead: ((HTTPRequestHead) -> HTTPResponse?)?

    /// Given each request when all of it has come and the bytes are not borrowed any more. Without it requests come out of
    /// ``next()``.
    package var onRequest: ((HTTPServerRequest) -> Handling)?

    /// Called when the client goes away while a request of it is served; at once, if it has gone already.
    package var onDisconnect: (() -> Void)? {
        didSet { if hasPeerEnded { clientDisconnected() } }
    }
    /// Called when the client has taken all of a stream that was sent so far, after it had not at once.
    package var onTaken: (() -> Void)?
    /// Further fields of the response to the request that is served, for every maker of a response.
    package var answerFields: [(name: StaticString, value: [UInt8])] = []

    /// Called again and again while an answer is due that ``watchSilence()`` was called for, and nothing of it is sent.
    package var onSilence: (() -> Void)?

    package init(_ socket: Socket, on loop: Loop, limits: Limits) {
        self.socket = socket
        clientSubject = socket.peerSubject
        self.loop = loop
        lastTaken = loop.now
        self.limits = limits
        idleTimeout = Interval(limits.idleTimeout)
        silenceTimeout = Interval(min(limits.keepAliveInterval, limits.idleTimeout))
        decoder = HTTPRequestDecoder(limits: limits.head)
        deadline = Deadline(on: loop)
        deadline.onExpiry = { [unowned self] in deadlinePassed() }
        deadline.set(after: limits.idleTimeout)
        // Over TLS, a request may have come with the end of the handshake.
        socket.startReading(self)
    }

    deinit { socket.close() }

    // MARK: Requests

    /// The next request that ``onRequest`` leaves to the connection's task, as soon as all of it has come.
    package func nextArrival() async -> Arrival {
        while true {
            if let arrival = arrival.take() {
                if case .arrived = phase { beginServing(by: .task) }
                return arrival
            }
            switch phase {
            case .closed:
                return .closed
            case .serving(.task):
                // It is over.
                if socket.unsentBytes > 0 {
                    await answerTaken()
                } else if hasPeerEnded {
                    close()
                } else {
                    proceedToNext()
                }
            case .idle, .head, .body, .arrived, .serving(.handler), .closing:
                await wakeup.wait()
            }
        }
    }

    /// The request that ``onRequest`` has taken is over.
    package func requestServed() {
        if isServing {
            if socket.unsentBytes == 0, !hasPeerEnded { return proceedToNext() }
            phase = .serving(.task)
        }
        // There is something to wait for before the next one, or none will come.
        wakeup.signal()
    }

    private var isServing: Bool { if case .serving = phase { true } else { false } }

    /// Whether the answer is made, and not all of it is written.
    private var isAnswerDue: Bool {
        guard isServing else { return false }
        switch answer {
        case .due, .streaming: return true
        case .written: return false
        }
    }

    private func beginServing(by server: Server) {
        phase = .serving(server)
        answer = .due
        watchesSilence = false
        deadline.set(nil)
        if !answerFields.isEmpty { answerFields = [] }
        if hasPeerEnded { limitLingering() }
    }

    /// Gives what has arrived, if something has, to the handler or to the connection's task.
    private func offerArrival() {
        guard case .arrived = phase else { return }
        if case .request(let request) = arrival, let onRequest {
            arrival = nil
            beginServing(by: .handler)
            switch onRequest(request) {
            case .taken: return
            case .answered: return requestServed()
            case .left:
                // Unless it was answered by closing the connection.
                if isServing {
                    phase = .serving(.task)
                    arrival = .request(request)
                }
            }
        }
        wakeup.signal()
    }

    /// Waits until the client has taken the last answer, so that at most one is held for it.
    private func answerTaken() async {
        while socket.isOpen, socket.unsentBytes > 0 {
            unsentAtLastLook = socket.unsentBytes
            deadline.set(after: limits.idleTimeout)
            await wakeup.wait()
        }
    }

    /// Goes on to the next request after an answer. One that has come already waits for the next turn of the loop: a client that
    /// sends them faster than they are answered has no more than one served before all others have had a turn.
    private func proceedToNext() {
        phase = .idle
        deadline.set(loop.now + (isDraining ? drainTimeout : idleTimeout))
        if unread.isEmpty { socket.resumeReading() } else { goOnInNextTurn() }
    }

    package func receivedBytes(_ bytes: Span<UInt8>) {
        switch phase {
        case .idle, .head, .body:
            // What came before is first.
            guard unread.isEmpty else { return keepInput(bytes, from: 0) }
            let rest = decodeInput(bytes, from: 0)
            if rest < bytes.count { keepInput(bytes, from: rest) }
            if case .arrived = phase { offerSoon() }
        case .arrived, .serving:
            keepInput(bytes, from: 0)
        case .closing, .closed:
            break
        }
    }

    /// Reads what is kept of the next request, as much as one turn of the loop is for.
    private func readUnread() {
        guard isReading, !unread.isEmpty else { return }
        // Taken out, so that it is not copied while it is read.
        var pending: [UInt8] = []
        swap(&pending, &unread)
        let start = unreadStart
        unreadStart = 0
        let end = min(pending.count, start + HTTPServerConnection.maxDecoded)
        let rest = decodeInput(pending.span.extracting(..<end), from: start)
        // More than what is kept belongs to the request.
        if rest == pending.count { return socket.resumeReading() }
        keepUnread(pending, from: rest)
        if isReading { goOnInNextTurn() }
    }

    /// Whether what comes is read, and not kept.
    private var isReading: Bool {
        switch phase {
        case .idle, .head, .body: true
        case .arrived, .serving, .closing, .closed: false
        }
    }

    private func keepUnread(_ pending: consuming [UInt8], from rest: Int) {
        // What has been read goes now and then, not with each request.
        if rest > HTTPServerConnection.maxUnread / 2 {
            pending.removeFirst(rest)
        } else {
            unreadStart = rest
        }
        unread = pending
    }

    private func goOnInNextTurn() {
        if isScheduled { return }
        isScheduled = true
        loop.nextTurn(self)
    }

    /// Offers what has arrived when the bytes that it came with are not borrowed any more.
    private func offerSoon() {
        if isScheduled { return }
        isScheduled = true
        loop.afterwards(self)
    }

    private var drainTimeout: Interval { min(Interval(HTTPServerConnection.drainTime), idleTimeout) }

    private func keepInput(_ bytes: Span<UInt8>, from offset: Int) {
        unread.append(bytes, offset..<bytes.count)
        if unread.count - unreadStart >= HTTPServerConnection.maxUnread { socket.pauseReading(hearingEnd: true) }
    }

    /// Reads of one request what there is of it. Returns where the next one begins, or what is not read for another reason.
    private func decodeInput(_ bytes: Span<UInt8>, from start: Int) -> Int {
        var offset = start
        do throws(HTTPDecodeError) {
            while true {
                switch try decoder.nextEvent(bytes, from: &offset) {
                case .needMoreInput:
                    awaitInput()
                    return bytes.count
                case .head(let head):
                    if !beginRequest(head, bodyFollows: offset < bytes.count) { return bytes.count }
                case .body(let range):
                    guard body.count + range.count <= limits.maxBody else {
                        deliverArrival(.flawed(.bodyTooLarge))
                        return bytes.count
                    }
                    body.append(bytes.extracting(range), upTo: bodyBound)
                case .end:
                    finishRequest()
                    return offset
                }
            }
        } catch {
            deliverArrival(.flawed(.malformed(error)))
            return bytes.count
        }
    }

    /// Bytes that the body has at most: its length where the head says it.
    private var bodyBound: Int {
        if case .bytes(let count)? = head?.bodyLength { return count }
        return limits.maxBody
    }

    /// The input ends in the middle of something: sets the time for the rest, once for a head and once for a body.
    private func awaitInput() {
        switch phase {
        case .idle where decoder.hasPartialHead:
            phase = .head
            deadline.set(after: limits.headerTimeout)
        case .body(isTimed: false):
            phase = .body(isTimed: true)
            deadline.set(after: limits.bodyTimeout)
        case .idle, .head, .body, .arrived, .serving, .closing, .closed:
            break
        }
    }

    /// Returns whether the request is to be read on.
    private func beginRequest(_ head: consuming HTTPRequestHead, bodyFollows: Bool) -> Bool {
        body = []
        if let refusal = onHead?(head) {
            isHead = head.method == .head
            turnAway(refusal)
            return false
        }
        if case .bytes(let count) = head.bodyLength {
            guard count <= limits.maxBody else {
                deliverArrival(.flawed(.bodyTooLarge))
                return false
            }
            body.reserveCapacity(min(count, HTTPServerConnection.maxUnread))
        }
        if head.expectsContinue, !bodyFollows {
            var interim: [UInt8] = []
            HTTPInterim.appendContinue(to: &interim)
            socket.write(interim)
        }
        phase = .body(isTimed: false)
        self.head = head
        return true
    }

    private func turnAway(_ refusal: HTTPResponse) {
        beginServing(by: .task)
        keepAlive = false
        respond(refusal)
    }

    private func finishRequest() {
        // The decoder tells of the head first.
        guard let head = head.take() else { return close() }
        isChunkable = head.minorVersion > 0
        keepAlive = head.keepAlive
        isHead = head.method == .head
        var body: [UInt8] = []
        swap(&body, &self.body)
        deliverArrival(.request(HTTPServerRequest(head: head, body: body)))
    }

    private func deliverArrival(_ arrival: consuming Arrival) {
        if case .flawed = arrival {
            keepAlive = false
            isHead = false
        }
        phase = .arrived
        self.arrival = arrival
    }

    // MARK: Answers

    /// Whether the client is still there to read an answer.
    package var isConnected: Bool { if case .closed = phase { false } else { true } }

    /// Answers the request that `next` gave last.
    package func respond(_ response: consuming HTTPResponse, body: some HTTPBody) {
        guard isServing, canBegin() else { return }
        responseEnded()
        if response.closes || isDraining { keepAlive = false }
        if !answerFields.isEmpty { response.fields += answerFields }
        if isHead {
            var head: [UInt8] = []
            response.appendHead(bodySize: body.count, keepAlive: keepAlive, to: &head)
            socket.write(head)
        } else {
            let message = HTTPMessage(body, headSize: 256) {
                response.appendHead(bodySize: body.count, keepAlive: keepAlive, to: &$0)
            }
            message.sendMessage(on: socket)
        }
        if !keepAlive { finishWriting() }
    }

    /// Answers without a body.
    package func respond(_ response: HTTPResponse) { respond(response, body: [UInt8]()) }

    /// Begins an answer whose body comes in parts.
    ///
    /// - Parameter length: `none` and `bytes` where they are known; the parts must then be just as long. Anything else goes
    ///   in chunks, or to a client of HTTP/1.0 until the connection ends.
    package func beginStream(_ response: consuming HTTPResponse, length: HTTPBodyLength = .chunked) {
        guard isServing, canBegin() else { return }
        if response.closes || isDraining { keepAlive = false }
        let length: HTTPBodyLength =
            switch length {
            case .none, .bytes: length
            case .chunked, .untilClose: isChunkable ? .chunked : .untilClose
            }
        if length == .untilClose { keepAlive = false }
        let framing: Framing =
            switch length {
            case .chunked: .chunked
            case .bytes(let count): .bytes(count)
            case .none, .untilClose: .none
            }
        answer = .streaming(framing)
        response.fields += answerFields
        response.appendStreamHead(length, keepAlive: keepAlive, to: &streamHead)
        if case .bytes(1...) = length { return }
        flushStreamHead()
    }

    /// Returns false, and cuts the connection, where the answer has begun: a second head would be taken for a part of it, and
    /// every answer after it for another's.
    private func canBegin() -> Bool {
        if case .due = answer { return true }
        close()
        clientDisconnected()
        return false
    }

    /// Sends a part of the stream, which must not be empty. It may itself be given in parts.
    package func sendPart(_ parts: [ArraySlice<UInt8>]) {
        guard isServing, case .streaming(let framing) = answer else { return }
        if socket.unsentBytes == 0 { lastTaken = loop.now }
        var all: [ArraySlice<UInt8>] = []
        if !streamHead.isEmpty { all.append(takeStreamHead()) }
        switch framing {
        case .chunked:
            var start: [UInt8] = []
            HTTPChunk.appendHeader(count: parts.reduce(0) { $0 + $1.count }, to: &start)
            var end: [UInt8] = []
            HTTPChunk.appendEnd(to: &end)
            all.append(start[...])
            all += parts
            all.append(end[...])
        case .bytes(let due):
            all += parts
            answer = .streaming(.bytes(due - parts.reduce(0) { $0 + $1.count }))
        case .none: all += parts
        }
        socket.write(all)
        expectAnswer()
    }

    /// Ends the stream, and with it the answer.
    package func endStream() {
        guard isServing, case .streaming(let framing) = answer else { return }
        flushStreamHead()
        switch framing {
        case .chunked:
            var end = [UInt8]()
            HTTPChunk.appendLast(to: &end)
            socket.write(end)
        // A length that was said and not kept: what follows on the connection would count as the rest (RFC 9112 §6.3).
        case .bytes(let due) where due != 0 && !isHead:
            close()
            return clientDisconnected()
        case .bytes, .none: break
        }
        responseEnded()
        if !keepAlive { finishWriting() }
    }

    /// Bytes of the answer that the client has not taken yet.
    package var unsentBytes: Int { socket.unsentBytes }

    private func takeStreamHead() -> ArraySlice<UInt8> {
        defer { streamHead = [] }
        return streamHead[...]
    }

    private func flushStreamHead() {
        guard !streamHead.isEmpty else { return }
        socket.write([takeStreamHead()])
    }

    /// The response is written: its maker need not hear of the client any more.
    private func responseEnded() {
        answer = .written
        deadline.set(nil)
        onDisconnect = nil
        onTaken = nil
    }

    private func finishWriting() {
        if socket.unsentBytes == 0 {
            if hasPeerEnded { return close() }
            socket.shutdownWriting()
            phase = .closing
            socket.resumeReading()
            deadline.set(after: HTTPServerConnection.lingerTimeout)
        } else {
            // `writesDrained` comes back here.
            phase = .closing
            unsentAtLastLook = socket.unsentBytes
            deadline.set(after: limits.idleTimeout)
        }
    }

    // MARK: The end

    /// The service is to end: from now on an answer says that it is the connection's last (RFC 9112 §9.6). A connection
    /// that was promised to be kept is kept for a moment, because its client's next request may be on its way.
    package func drainConnection() {
        isDraining = true
        if case .idle = phase { deadline.set(loop.now + drainTimeout) }
    }

    /// Closes now. Harmless when it is closed.
    package func close() {
        if isAnswerDue { socket.abortConnection() } else { socket.close() }
        deadline.set(nil)
        phase = .closed
        arrival = nil
        wakeup.signal()
    }

    package func writesDrained() {
        lastTaken = loop.now
        switch phase {
        case .closing: finishWriting()
        case .serving:
            if isAnswerDue { expectAnswer() }
            onTaken?()
        case .idle, .head, .body, .arrived, .closed: break
        }
        wakeup.signal()
    }

    package func socketEnded(_ error: SystemError?) {
        hasPeerEnded = true
        switch phase {
        case .arrived where error == nil, .serving where error == nil:
            // Not a cancellation of a response that is about to come: a refusal is written all the same, if it comes soon.
            limitLingering()
        case .idle, .head, .body, .arrived, .serving, .closing, .closed:
            close()
        }
        clientDisconnected()
        wakeup.signal()
    }

    /// Waits no longer for an answer than this: what a call waits for may take minutes, and the descriptor with it.
    private func limitLingering() { deadline.set(after: HTTPServerConnection.lingerTimeout) }

    private func clientDisconnected() {
        guard let onDisconnect else { return }
        self.onDisconnect = nil
        onDisconnect()
    }

    /// Has `onSilence` called during the answer that is due now.
    package func watchSilence() {
        watchesSilence = true
        expectAnswer()
    }

    /// Has it called no more during this answer.
    package func ignoreSilence() { watchesSilence = false }

    /// Sets the time for the next look at the answer that is due.
    private func expectAnswer() {
        if hasPeerEnded { return }
        let isLookedAt = watchesSilence || socket.unsentBytes > 0
        deadline.set(isLookedAt ? loop.now + silenceTimeout : nil)
    }

    /// Nothing of the answer was sent for a while: because there was nothing to send, or because the client does not take
    /// what was. The first must not look like a dead connection, the second is one after some time.
    private func silenceElapsed() {
        if hasPeerEnded {
            close()
            return wakeup.signal()
        }
        let unsent = socket.unsentBytes
        if unsent == 0 {
            lastTaken = loop.now
            if watchesSilence { onSilence?() }
        } else if unsent < unsentAtLastLook {
            lastTaken = loop.now
        } else if loop.now - lastTaken >= limits.idleTimeout {
            close()
            clientDisconnected()
            return wakeup.signal()
        }
        unsentAtLastLook = unsent
        expectAnswer()
    }

    private func deadlinePassed() {
        if isAnswerDue { return silenceElapsed() }
        if socket.unsentBytes > 0, socket.unsentBytes < unsentAtLastLook {
            unsentAtLastLook = socket.unsentBytes
            return deadline.set(after: limits.idleTimeout)
        }
        switch phase {
        case .head, .body:
            deliverArrival(.flawed(.timedOut))
            offerArrival()
        case .idle, .closing, .serving, .arrived, .closed:
            close()
            clientDisconnected()
            wakeup.signal()
        }
    }
}

extension HTTPServerConnection: Resumable {
    package func resumeWork() {
        isScheduled = false
        readUnread()
        offerArrival()
    }
}
