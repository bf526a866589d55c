import HTTPWire
import JSONText
import MCP
import Reactor
import Translation

/// A call over Streamable HTTP: one request, and the answer to it, which may be a stream of messages.
final class StreamableCall: LegacyCall {
    /// What was sent, for a server that has it go elsewhere.
    enum Request {
        case post(SplicedText, TraceContext?)
        case resumption(StreamResumption)
    }

    private let transport: StreamableHTTP
    private var exchange: BackendExchange
    private var request: Request
    /// Where it was redirected to.
    private var course: Redirect.Course
    private var pause: Pause?
    private var cancellation: BackendError?
    /// When it fails if it has no answer.
    private var end: Instant
    /// Whether the server waits for an answer of the client, so that nothing is expected of it.
    private var isSuspended = false
    private var silence: Duration?
    /// What has come, and leaves it open whether the session lives.
    private var doubted: CallReply?
    /// Why something that the server sent was passed over, for the error of a call that gets no answer.
    private var flaw: ServerMessages.Flaw?
    /// The least between two attempts to take up a stream on which nothing is expected.
    private static let suspendedDelay: Duration = .seconds(1)

    init(_ terms: Terms, by transport: StreamableHTTP, _ exchange: BackendExchange, of request: Request) {
        self.transport = transport
        self.exchange = exchange
        self.request = request
        course = Redirect.Course(from: transport.target)
        end = terms.end
        super.init(terms)
    }

    /// Between the head of a stream and its end, where a server that does not know the stream lets it be an empty one.
    private static let proofTime: Duration = .milliseconds(100)

    /// Whether the server takes up a stream that another process had: it answers with one that does not end at once.
    func isTakenUp() async -> Bool {
        guard (try? await exchange.waitForBeginning()) != nil, exchange.isSuccess, exchange.isStream else {
            return false
        }
        await Pause(on: terms.session.loop).waitFor(StreamableCall.proofTime)
        return !exchange.isExhausted
    }

    override func waitForReply() async throws(BackendError) -> CallReply {
        defer { leaveExchange() }
        if let doubted = doubted.take() { return isSentBefore ? doubted.afterDispatch : doubted }
        var fruitless = 0
        while true {
            do throws(BackendError) {
                if let reply = try await streamedReply() { return isSentBefore ? reply.afterDispatch : reply }
            } catch {
                guard error.kind == .noAnswer, fruitless < StreamResumption.maxFruitless,
                    let resumption = exchange.resumption
                else {
                    if isSentBefore { throw error.afterDispatch }
                    // Where an answer has begun the server was reached, whatever the answer says.
                    throw exchange.status == nil ? transport.errorMeaning(of: error) : error
                }
                // A server that waits for its client has nothing to say on a stream, however often it is taken up.
                if !isSuspended { fruitless = exchange.hasDelivered ? 1 : fruitless + 1 }
                if let reply = try await resumeStream(resumption) { return reply }
            }
        }
    }

    /// Whether the request takes up the stream of a call that was sent before it. What is said of the request is not said of the call.
    private var isSentBefore: Bool { if case .resumption = request { true } else { false } }

    /// The reply; nil where the request was sent again.
    private func streamedReply() async throws(BackendError) -> CallReply? {
        try await exchange.waitForBeginning()
        if !exchange.bringsMessages {
            let body = await exchange.waitForBody()
            // A part of a body says nothing of the server.
            if let cancellation { throw cancellation }
            let head = try await exchange.waitForHead()
            let isTaken = head.status == 202 || (200..<300).contains(head.status) && body.isEmpty
            if isTaken, let reply = try self.readReply(inBody: body, head.status, isAlone: exchange.isAlone) {
                return reply
            }
            guard isTaken, expectElsewhere() else { return try replyInstead(body, head) }
        }
        while true {
            if let observer = terms.observer, !observer.hasRoom { await observer.waitForRoom() }
            if let text = try await exchange.nextMessage() {
                if let reply = try self.readReply(in: text) { return reply }
            } else if exchange.hasDelivered && exchange.status != 202 || !expectElsewhere() {
                let hint = flaw.map { "; something in it is \($0.words)" } ?? ""
                throw BackendError(.noAnswer, "the server ended its answer without a response\(hint)")
            }
        }
    }

    private func leaveExchange() {
        if case .post = request, exchange.isSuccess { transport.endpointMoved(on: course) }
        exchange.abandonResponse()
        terms.session.callEnded(self)
    }

    override func notifyReader(_ reader: any CallReader) -> Bool { doubted == nil && exchange.notifyReader(reader) }

    override func readyResponse() throws(BackendError) -> LegacyResponse? {
        guard doubted == nil, exchange.bringsMessages else { return nil }
        do throws(BackendError) {
            while let text = exchange.readyMessage() {
                switch try readReply(in: text) {
                case .answer(let answer):
                    leaveExchange()
                    return answer
                case .doubted(let doubt, let otherwise):
                    doubted = .doubted(doubt, otherwise: otherwise)
                    return nil
                case nil:
                    if terms.observer?.hasRoom == false { return nil }
                }
            }
            return nil
        } catch {
            leaveExchange()
            throw error
        }
    }

    /// Takes up a stream that ended before the response, as a server may let it on purpose. Returns the response, if that came
    /// another way meanwhile.
    private func resumeStream(_ resumption: StreamResumption) async throws(BackendError) -> CallReply? {
        let pause = Pause(on: terms.session.loop)
        self.pause = pause
        await pause.waitFor(isSuspended ? max(resumption.delay, StreamableCall.suspendedDelay) : resumption.delay)
        self.pause = nil
        if let cancellation { throw cancellation }
        if let text = exchange.readyMessage(), let reply = try self.readReply(in: text) { return reply }
        request = .resumption(resumption)
        course = Redirect.Course(from: transport.target)
        sendRequest()
        return nil
    }

    /// Sends the request to where it is to go.
    private func sendRequest() {
        exchange = transport.sendRequest(request, to: course.place, credentials: terms.credentials, until: end)
        if isSuspended { exchange.suspendTimeout() } else { exchange.resumeTimeout(until: end, silence: silence) }
    }

    // MARK: Messages

    /// The reply, if it is among what the server sent at once; the rest is served.
    ///
    /// - Throws: for an answer that cannot be read, and for a document that holds another's: that is all that comes.
    private func readReply(in text: [UInt8]) throws(BackendError) -> CallReply? {
        var messages = terms.session.readMessages(text)
        var reply: CallReply?
        var isAnothers = false
        while let message = messages.next() {
            let isOwn = message.answeredRequest == Int64(self.id)
            switch message.kind {
            case .request, .notification:
                terms.session.receiveMessage(message, on: self, credentials: terms.credentials)
            case .unclear where isOwn:
                throw LegacyResponse.unclear
            // An error without an id can be about nothing else, unless the connection was another request's before.
            case .response(let id, let outcome) where isOwn || (id == nil && outcome.isError && exchange.isAlone):
                if reply == nil {
                    reply = try CallReply(LegacyResponse(document: message.document, outcome: outcome), isOwn: isOwn)
                }
            case .response, .unclear:
                if exchange.isStream { terms.session.receiveMessage(message, on: self) } else { isAnothers = true }
            }
        }
        if reply == nil, let problem = messages.flaw { flaw = problem }
        if reply != nil || exchange.isStream { return reply }
        if let flaw { return try self.replyToBroken(text, flaw) }
        if isAnothers { throw BackendError(.outcomeUnknown, "the server answered another request than it was asked") }
        return nil
    }

    /// What comes of a document that cannot be read.
    private func replyToBroken(_ text: [UInt8], _ flaw: ServerMessages.Flaw) throws(BackendError) -> CallReply? {
        // "Accepted", in the words of whatever takes requests there.
        if exchange.status == 202 { return nil }
        let error = BackendError(.outcomeUnknown, "the server's answer is \(flaw.words)")
        guard transport.isKept, let status = exchange.status,
            case .doubt(let doubt) = SessionLoss.responseVerdict(status: status, hasChallenge: false, text[...])
        else { throw error }
        return .doubted(doubt, otherwise: .failure(error))
    }

    /// What comes of an answer whose body no messages come in; nil where the request was sent again, to where that leads.
    private func replyInstead(_ body: [UInt8], _ head: HTTPResponseHead) throws(BackendError) -> CallReply? {
        if let text = exchange.readyMessage(), let reply = try self.readReply(in: text) { return reply }
        if let refusal = BackendError.rateLimited(head) { throw refusal }
        // What has another place says nothing of the request itself, but for its response.
        let isAlone = exchange.isAlone && !Redirect.keepsRequest(head.status)
        if !BackendError.asksForCredentials(head),
            let reply = try self.readReply(inBody: body, head.status, isAlone: isAlone)
        {
            return reply
        }
        let error: BackendError
        do throws(BackendError) {
            if try isRedirected(by: head) { return nil }
            error = BackendError.challenge(head) ?? StreamableCall.statusError(head.status)
        } catch let flaw {
            error = flaw
        }
        guard transport.isKept else { throw error }
        switch SessionLoss.responseVerdict(head, body[...]) {
        case .none: throw error
        case .proof: throw .sessionGone
        case .doubt(let doubt): return .doubted(doubt, otherwise: .failure(error))
        }
    }

    /// Whether the answer has the request go elsewhere, so that it was sent again: no handler has seen it.
    private func isRedirected(by head: HTTPResponseHead) throws(BackendError) -> Bool {
        let method: HTTPMethod = if case .post = request { .post } else { .get }
        guard cancellation == nil, Redirect.isMeant(by: head.status) else { return false }
        // A call that has failed, or whose time is over, is not sent once more.
        if let flaw = exchange.flaw { throw flaw }
        guard terms.session.loop.now < end, try transport.followsRedirect(head, of: method, on: &course) else {
            return false
        }
        exchange.abandonResponse()
        sendRequest()
        return true
    }

    private static func statusError(_ status: Int) -> BackendError {
        guard status == 200 else { return .ofStatus(status) }
        return BackendError(
            .outcomeUnknown, "the server's answer is neither JSON nor an event stream; is it an MCP server?")
    }

    // MARK: A response on the GET stream

    override func responseArrivedElsewhere(_ message: [UInt8]) { exchange.responseArrivedElsewhere(message) }

    override func cannotBeAnsweredElsewhere() { exchange.expectElsewhereNoLonger() }

    /// Where a server takes a request and says nothing to it, the response may come on the GET stream. Returns whether that
    /// is worth waiting for.
    private func expectElsewhere() -> Bool {
        guard transport.mayPushAnswers, exchange.resumption == nil, exchange.expectElsewhere() else { return false }
        if end > terms.session.loop.now + LegacySession.askTimeout {
            terms.session.loop.spawn { await self.endIfBroken(self.exchange) }
        }
        return true
    }

    /// A session that is broken says nothing to anything, for as long as it is asked. One that says 202 has taken the request,
    /// and may get to a `ping` after it only.
    private func endIfBroken(_ exchange: BackendExchange) async {
        await Pause(on: terms.session.loop).waitFor(LegacySession.askTimeout)
        guard exchange.isExpectedElsewhere else { return }
        let life = await terms.session.askForLife(by: .ping, terms.credentials)
        if life == .lost || life == .silent && exchange.status != 202 { exchange.expectElsewhereNoLonger() }
    }

    // MARK: Underway

    override func notificationArrived(_ notification: Envelope, _ kind: ServerNotification) {
        exchange.heardElsewhere()
        super.notificationArrived(notification, kind)
    }

    override func suspendTimeout() {
        isSuspended = true
        exchange.suspendTimeout()
    }

    override func resumeTimeout(until end: Instant, silence: Duration?) {
        isSuspended = false
        self.end = end
        self.silence = silence
        exchange.resumeTimeout(until: end, silence: silence)
    }

    override var lastEventID: [UInt8]? { exchange.resumption?.lastEventID }

    override func failCall(with error: BackendError) {
        cancellation = error
        pause?.endPause()
        exchange.failExchange(with: error)
    }
}
