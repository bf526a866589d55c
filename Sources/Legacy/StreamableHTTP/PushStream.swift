import HTTPTransport
import HTTPWire
import Reactor

/// The GET stream of a session, on which the server sends what belongs to no request (basic/transports, "Listening for
/// Messages from the Server").
///
/// It is opened again whenever it ends, for as long as the session lives, and goes on where it was if the server gave its
/// events ids. While it is open there is no task: each session has one, and most say nothing.
final class PushStream {
    /// Between two attempts; doubled after each that brought nothing.
    private static let delays: ClosedRange<Duration> = .milliseconds(500) ... .seconds(30)
    /// The longest pause while a subscriber or a call waits for what comes, unless the server itself ends each stream at once.
    private static let watchedDelay: Duration = .milliseconds(500)
    /// A stream that was there for so long was one, though nothing came: what stands before servers ends streams that are
    /// idle, after 10 s at the least.
    private static let leastLife: Duration = .seconds(5)
    /// A server without a GET stream says so at once. Some that have one send nothing, not even the head of the answer, before
    /// there is something to tell.
    private static let patience: Duration = .seconds(1)

    /// What is known of the stream from the attempts so far.
    private enum Past {
        /// No attempt has ended. Leads to both others.
        case none
        /// There was no stream yet. Leads to `open`.
        case failed
        /// It was there, last since then: what is said while it is not there is missed.
        case open(Instant)
    }

    /// Both own the stream. `nil` when it is stopped: it may be in the middle of something then, and has no session to tell.
    private var owner: (session: LegacySession, transport: StreamableHTTP)?
    private let route: SessionRoute
    private let credentials: Credentials
    private var pause: Pause?
    private var delay = PushStream.delays.lowerBound
    private var exchange: BackendExchange?
    private var resumption: StreamResumption?
    private var past = Past.none
    /// Whether the server has a GET stream; `nil` until that is known.
    private var verdict: Bool?
    private let decided = Wakeup()

    init(session: LegacySession, transport: StreamableHTTP, route: SessionRoute, credentials: Credentials) {
        owner = (session, transport)
        self.route = route
        self.credentials = credentials
    }

    private var isStopped: Bool { owner == nil }

    private var wasOpen: Bool { if case .open = past { true } else { false } }

    func keepStreamOpen() async { await keepStreamOpen(nil) }

    /// - Parameter open: the answer to a request for the stream that has begun; nil to ask for it.
    private func keepStreamOpen(_ open: BackendExchange?) async {
        var open = open
        while !isStopped {
            let outcome = if let exchange = open.take() { await readStream(exchange) } else { await openStream() }
            switch outcome {
            case .quiet: return
            case .notOffered:
                let wasOffered = verdict == true
                concludeOffer(false)
                if wasOffered { owner?.session.noteGap() }
                return
            case .gone:
                owner?.session.sessionLost()
                return
            case .heard: delay = PushStream.delays.lowerBound
            case .endedAtOnce: lengthenDelay()
            case .failed:
                lengthenDelay()
                if !wasOpen {
                    past = .failed
                    owner?.session.cannotBeHeard()
                }
            }
            let isUrgent = owner?.session.isHeardOut == true && outcome != .endedAtOnce
            if !isStopped { await waitToReopen(isUrgent ? min(delay, PushStream.watchedDelay) : delay) }
        }
    }

    private func lengthenDelay() { delay = min(delay * 2, PushStream.delays.upperBound) }

    func stopStream() {
        concludeOffer(false)
        owner = nil
        exchange?.failExchange(with: PushStream.ended)
        pause?.endPause()
    }

    /// Whether ``isOffered()`` would answer at once.
    var isDecided: Bool { verdict != nil }

    /// Whether the server has a GET stream. Waits for its response, but not for long.
    func isOffered() async -> Bool {
        if let verdict { return verdict }
        let deadline = Deadline(on: route.backend.loop)
        deadline.onExpiry = { [unowned self] in concludeOffer(true) }
        deadline.set(after: PushStream.patience)
        while verdict == nil { await decided.wait() }
        deadline.set(nil)
        return verdict == true
    }

    /// Whether something comes on it, or may soon.
    var mayBring: Bool {
        if case .failed = past { return false }
        return verdict != false && !isStopped
    }

    private func concludeOffer(_ isOffered: Bool) {
        verdict = isOffered
        decided.signal()
        if !isOffered { owner?.session.cannotBeHeard() }
    }

    private enum Outcome {
        /// The stream is there, and whatever comes on it is told.
        case quiet
        /// The server has no GET stream (405) or refuses it: it will not change its mind.
        case notOffered
        /// The server has lost the session.
        case gone
        /// The stream was there, and has ended.
        case heard
        /// The server ended the stream as soon as it was there, and nothing had come.
        case endedAtOnce
        case failed
    }

    private func openStream() async -> Outcome {
        guard let transport = owner?.transport else { return .failed }
        let exchange: BackendExchange
        do throws(BackendError) {
            let head: HTTPResponseHead
            (exchange, head, _) = try await transport.sendFollowing(.get) { requestStream(by: transport, at: $0) }
            guard exchange.isStream else {
                let outcome = await refusalOutcome(head, of: exchange)
                leaveExchange(exchange)
                return outcome
            }
        } catch {
            return self.exchange.map { streamOutcome($0, after: error) } ?? .failed
        }
        streamOpened()
        return await readStream(exchange)
    }

    private func requestStream(by transport: StreamableHTTP, at place: [UInt8]?) -> BackendExchange {
        let exchange = BackendExchange(
            transport.pushRequest(credentials, after: resumption?.lastEventID, at: place), by: route,
            patience: .endless, isRepeatable: true)
        self.exchange = exchange
        // It may have been stopped while an answer led elsewhere.
        if isStopped { exchange.failExchange(with: PushStream.ended) }
        return exchange
    }

    private static let ended = BackendError(.cancelled, "the session has ended")

    /// Hears what comes on a stream until there is nothing to hear.
    private func readStream(_ exchange: BackendExchange) async -> Outcome {
        do throws(BackendError) {
            repeat {
                if !isStopped, exchange.notifyReader(self) { return .quiet }
            } while receiveText(try await exchange.nextMessage())
            return streamOutcome(exchange, after: nil)
        } catch {
            return streamOutcome(exchange, after: error)
        }
    }

    /// Returns whether more may come.
    private func receiveText(_ text: [UInt8]?) -> Bool {
        guard let text, !isStopped else { return false }
        owner?.session.receiveText(text)
        return true
    }

    private func leaveExchange(_ exchange: BackendExchange) {
        exchange.abandonResponse()
        self.exchange = nil
    }

    private func streamOutcome(_ exchange: BackendExchange, after error: BackendError?) -> Outcome {
        leaveExchange(exchange)
        let isEmpty = !exchange.hasDelivered
        if let error {
            // With the server its session is gone, if it is not there for a moment: a copy of it can serve another.
            if error.kind == .unavailable, !isStopped, route.backend.hasAlternative() { return .gone }
            if !wasOpen || error.kind != .noAnswer { return .failed }
        }
        resumption = exchange.resumption ?? resumption
        return error == nil && isEmpty && wasShort ? .endedAtOnce : .heard
    }

    private var wasShort: Bool {
        guard case .open(let start) = past else { return true }
        return route.backend.loop.now < start + PushStream.leastLife
    }

    private func streamOpened() {
        concludeOffer(true)
        if wasOpen, resumption == nil { owner?.session.noteGap() }
        past = .open(route.backend.loop.now)
    }

    private func refusalOutcome(_ head: HTTPResponseHead, of exchange: BackendExchange) async -> Outcome {
        // A page, a document, or nothing: whatever is there, it is no stream.
        if (200..<300).contains(head.status) || head.status == 405 || head.status == 501 { return .notOffered }
        // Later, perhaps.
        if [408, 425, 429].contains(head.status) { return .failed }
        let body = await exchange.waitForBody()
        guard let (session, transport) = owner, transport.isKept else {
            return head.status >= 500 ? .failed : .notOffered
        }
        switch SessionLoss.responseVerdict(head, body[...]) {
        case .doubt(let doubt) where wasOpen:
            return await session.isLost(doubt, credentials) ? .gone : .failed
        case .proof:
            // Frameworks answer so where no route is, and some end the stream alone: the session may live all the same.
            if await session.askForLife(by: .ping, credentials) == .lost { return .gone }
            return wasOpen ? .failed : .notOffered
        case .none, .doubt: break
        }
        if head.status >= 500 { return .failed }
        // Where it was open before, it is the credentials that do not hold any more: the session is of no use to them.
        return wasOpen && head.status == 401 ? .gone : .notOffered
    }

    /// - Parameter delay: at the least; the server may wish for more.
    private func waitToReopen(_ delay: Duration) async {
        let pause = Pause(on: route.backend.loop)
        self.pause = pause
        await pause.waitFor(pauseLength(delay))
        self.pause = nil
    }

    private func pauseLength(_ delay: Duration) -> Duration {
        guard let resumption else { return delay }
        // A wish for less is kept, unless nothing comes of it.
        return delay > PushStream.delays.lowerBound ? max(resumption.delay, delay) : resumption.delay
    }
}

extension PushStream: CallReader {
    func messagesArrived() {
        guard let exchange else { return }
        while let text = exchange.readyMessage() { if !receiveText(text) { break } }
        if !isStopped, exchange.notifyReader(self) { return }
        route.backend.loop.spawn { await self.keepStreamOpen(exchange) }
    }
}
