import JSONText
import MCP
import Reactor
import Translation

/// What HTTP+SSE and stdio have in common: all that the server says comes on one channel, for as long as the session lasts. What
/// each has to do in its own way is a ``ChannelTransport``.
///
/// An answer is known by its id. What else comes belongs to no call that one could tell by the way it came. The end of the
/// channel is the end of the session.
class Channel {
    let loop: Loop
    let limits: Backend.Limits
    let passedOver: PassedOver
    private weak var session: LegacySession?
    private var calls: [Int: ChannelCall] = [:]
    /// Messages that came and were not looked at yet.
    private var inbox = MessageQueue()
    private var isPaused = false
    /// What may be looked at before the loop looks at its other sockets.
    private var budget = WorkBudget()
    /// What the server asked before it answered `initialize`, for the session.
    private var early: [Envelope] = []
    /// Signalled when something came, or changed that it waits for.
    private let news = Wakeup()
    private var isProbing = false
    private var revision: Revision?
    /// Why the channel is over; nil while it is open.
    private(set) var ending: BackendError?
    /// Messages of a batch that was carried, the next one last. `nil`: the channel is no client's own, and what comes is told to
    /// a session and to calls.
    private var unread: [CarriedMessage]?

    init(to server: LegacyServer) {
        passedOver = PassedOver(of: server)
        loop = server.loop
        limits = server.limits
    }

    // MARK: What a transport may do

    /// The revision of the session is known.
    func revisionAgreed(on revision: Revision) {}

    func pauseReading() {}
    func resumeReading() {}

    /// The channel is over: give back what is held for it. Called once.
    func tearDown() {}

    /// Text came that is no message, or a part of it is none.
    func passOver(_ text: [UInt8], because flaw: ServerMessages.Flaw) {
        passedOver.noteSkipped(text.count, because: flaw.words)
    }

    // MARK: Opening

    /// The server has agreed to a session.
    ///
    /// - Parameter early: what it asked before that.
    final func beginSession(_ handshake: Handshake, _ early: [Envelope]) {
        self.early = early
        revision = handshake.revision
        revisionAgreed(on: handshake.revision)
    }

    final func listenForMessages(for session: LegacySession, credentials: Credentials) {
        self.session = session
        if ending != nil { return session.sessionLost() }
        for message in early { session.receiveMessage(message, on: nil) }
        early = []
        loop.spawn {
            while let text = await self.nextMessage() {
                self.dispatchMessage(text)
                while let slow = self.callToWaitFor, self.ending == nil {
                    // Whatever took its room: what the server says in a session may go to its one call.
                    slow.lacksRoom()
                    await self.news.wait()
                }
            }
        }
    }

    // MARK: Receiving

    /// Takes what came. Beyond `limits.streamBuffer` the server has to wait.
    final func receivedMessage(_ text: [UInt8]) {
        inbox.append(text)
        if inbox.heldBytes > limits.streamBuffer, !isPaused {
            isPaused = true
            pauseReading()
        }
        news.signal()
    }

    /// The next message, in the order of the wire; nil when the channel is over and all that came on it was taken.
    final func nextMessage() async -> [UInt8]? {
        while !budget.allowsMore(at: loop.now) { await loop.nextTurn() }
        while true {
            if let text = inbox.popFirst() {
                budget.spendMessage(text.count)
                if isPaused, inbox.heldBytes <= limits.streamBuffer / 2 {
                    isPaused = false
                    resumeReading()
                }
                return text
            }
            if ending != nil { return nil }
            await news.wait()
        }
    }

    /// The call for whose client the server has to wait: one that reads slowly, as long as it is the only call. Beside others, it
    /// loses progress.
    private var callToWaitFor: ChannelCall? {
        guard calls.count == 1, let call = calls.first?.value, !call.hasRoom else { return nil }
        return call
    }

    /// The messages of a text. What is passed over is noted.
    final func readMessages(_ text: [UInt8]) -> ServerMessages {
        let messages = ServerMessages(text, revision: revision, maxDepth: limits.maxDepth)
        if let flaw = messages.flaw { passOver(text, because: flaw) }
        return messages
    }

    private func dispatchMessage(_ text: [UInt8]) {
        guard let session else { return }
        for message in readMessages(text) {
            switch message.kind {
            case .response(_, let outcome):
                callAnswered(answeredBy: message)?.responseArrived(
                    LegacyResponse(document: message.document, outcome: outcome))
            case .unclear: callAnswered(answeredBy: message)?.failCall(with: LegacyResponse.unclear)
            case .request where isEcho(message): passOver(text, because: .ambiguous)
            case .request, .notification: session.receiveMessage(message, on: nil)
            }
        }
    }

    // MARK: Carrying

    /// See `ChannelTransport+Carrying.swift`.
    final func beginCarrying() { unread = [] }

    final func keepUnread(_ messages: [CarriedMessage]) { unread = messages.reversed() }

    final func takeUnread() -> CarriedMessage? { unread?.popLast() }

    private func callAnswered(answeredBy message: Envelope) -> ChannelCall? {
        message.answeredRequest.flatMap { calls[Int($0)] }
    }

    /// Whether it is a request of ours that comes back, as a terminal between has it: an answer would come back, too, as the
    /// response.
    private func isEcho(_ message: Envelope) -> Bool {
        guard case .request(let id, let method) = message.kind, let number = message.document.integer(id),
            calls[Int(number)] != nil
        else { return false }
        return Method(method, in: message.document) != nil
    }

    // MARK: Calls

    /// Takes a call into the channel. Returns false where it has failed, because the channel is over.
    final func beginCall(_ call: ChannelCall) -> Bool {
        if ending != nil {
            call.failCall(with: BackendError(.sessionLost, "the session has ended"))
            return false
        }
        calls[call.id] = call
        // Who waits for a slow client no longer may.
        news.signal()
        return true
    }

    /// The call is not waited for any more.
    final func callEnded(_ call: ChannelCall) {
        calls[call.id] = nil
        news.signal()
    }

    /// The client of a call reads again.
    final func roomHasChanged() { news.signal() }

    /// As the published SDKs of 2024-11-05 are.
    final var isSequential: Bool { revision == .v2024_11_05 }

    /// A call had no answer in time: finds out whether the server serves anything else, and lets new calls go elsewhere if
    /// not.
    final func callTimedOut() {
        guard !isProbing, ending == nil, let session else { return }
        isProbing = true
        loop.spawn {
            let life = await session.askQuestion(.ping, session.credentials)
            self.isProbing = false
            if life != .alive { session.giveUpSession() }
        }
    }

    // MARK: The end

    /// The channel is over, or is to be: every call in it ends with `error`.
    final func failCalls(_ error: BackendError) {
        guard ending == nil else { return }
        ending = error
        let loss = error.kind == .unavailable ? BackendError(.noAnswer, error.detail) : error
        // Answers that came before the end are still good. Before there is a session, who opens it takes them.
        if error.kind != .unavailable {
            inbox = MessageQueue()
        } else if unread == nil, session != nil {
            drainInbox()
        }
        for call in calls.values { call.failCall(with: loss) }
        tearDown()
        news.signal()
        session?.sessionLost()
    }

    private func drainInbox() {
        var rest = MessageQueue()
        swap(&rest, &inbox)
        while let text = rest.popFirst() { dispatchMessage(text) }
    }

    final func hasPushChannel() async -> Bool { true }

    final var knowsPushChannel: Bool { true }

    /// The channel is the session.
    final var sessionID: [UInt8]? { nil }

    final var isKept: Bool { true }

    final var isOver: Bool { ending != nil }

    final func stopListening() {}

    func endSession() async { finishQuietly() }

    final func dropSession() { finishQuietly() }

    /// As ``failCalls(_:)``, without telling the session.
    final func finishQuietly() {
        session = nil
        failCalls(BackendError(.noAnswer, "the session has ended"))
    }
}
