import HTTPTransport
import HTTPWire
import Legacy
import Reactor
import Translation

/// What the requests of one gateway are carried with, and how they end by what came of them.
final class Carrier {
    let settings: GatewaySettings
    /// The longest that a request may take.
    let requestTimeout: Interval
    let sessions: SessionPool
    let lists: Lists
    /// What carries calls of tools that run as tasks. It ends with the gateway, as this does.
    weak var tasks: (any TaskCarrier)?
    private let forwarder: Forwarder
    private let callers: CallerRules
    /// Of the last request.
    private var latestKey: SessionKey?
    /// Requests that are being answered.
    private(set) var inFlight = 0
    /// Signalled when there are none.
    private let emptied = Wakeup()

    init(
        settings: GatewaySettings, sessions: SessionPool, lists: Lists, forwarder: Forwarder, callers: CallerRules
    ) {
        self.settings = settings
        requestTimeout = Interval(settings.requestTimeout)
        self.sessions = sessions
        self.lists = lists
        self.forwarder = forwarder
        self.callers = callers
    }

    /// The key of the sessions that a request may use which shares them.
    func sessionKey(for request: ModernRequest, from caller: Caller) -> SessionKey {
        let key = settings.clients.sessionKey(
            for: request, of: caller.principal, canBeAsked: settings.isInteractive, known: latestKey)
        if key !== latestKey { latestKey = key }
        return key
    }

    // MARK: What is in flight

    /// A request is being answered.
    func requestBegan() { inFlight += 1 }

    /// And has been.
    func requestEnded() {
        inFlight -= 1
        if inFlight == 0 { emptied.signal() }
    }

    /// Returns when no request is being answered.
    func waitForRequests() async { while inFlight > 0 { await emptied.wait() } }

    // MARK: The end

    /// Ends a request that was carried without the task of its connection, or wakes the task that waits for it.
    ///
    /// - Parameters:
    ///   - source: the request as it came.
    ///   - begins: whether it could have been sent to another server: not where it goes on with a call.
    func endCarriedRequest(
        _ clientRequest: ClientRequest, _ outcome: RequestOutcome, of source: HTTPServerRequest, begins: Bool = true
    ) {
        // What a client leaves behind, and what may be for another server now, is not for the event that told of it.
        if case .failed(let error) = outcome, error.kind == .cancelled || outcome.wasNeverSent {
            sessions.loop.spawn {
                if !clientRequest.connection.isConnected {
                    self.finishRequest(clientRequest, .failed(.clientLeft), of: source.head)
                } else if begins, self.maySpeakModern(outcome, clientRequest) {
                    clientRequest.responder.leaveResponse()
                    await self.forwarder.forwardRequest(source, clientRequest, isModern: true)
                } else {
                    self.finishRequest(clientRequest, outcome, of: source.head)
                }
                self.releaseConnection(clientRequest)
            }
            return
        }
        finishRequest(clientRequest, outcome, of: source.head)
        releaseConnection(clientRequest)
    }

    /// Ends a request that another loop or replica has answered, as ``endCarriedRequest(_:_:of:begins:)`` does.
    func endForwardedRequest(_ clientRequest: ClientRequest, status: Int, bytes: Int) {
        clientRequest.finishForwarded(status: status, bytes: bytes)
        releaseConnection(clientRequest)
    }

    private func releaseConnection(_ clientRequest: ClientRequest) {
        if clientRequest.hasTask { return }
        requestEnded()
        clientRequest.connection.requestServed()
    }

    /// Whether a request is to be forwarded, because it found no session and the server turns out to speak 2026-07-28 by now.
    private func maySpeakModern(_ outcome: RequestOutcome, _ clientRequest: ClientRequest) -> Bool {
        // An answer that has begun as a stream goes on as one: another status and other fields would come too late.
        outcome.wasNeverSent && forwarder.servesWithoutSession && !clientRequest.responder.isStreaming
    }

    /// Ends a request with what came of it.
    func finishRequest(_ clientRequest: ClientRequest, _ outcome: RequestOutcome, of head: HTTPRequestHead) {
        switch outcome {
        case .answered(let answer): clientRequest.finishRequest(.answered(answer))
        case .refused(let refusal): clientRequest.finishRequest(.refused(refusal))
        case .failed(let error):
            clientRequest.noteFailure(error)
            let refusal = forwarder.rewriteChallenges(
                of: Refusal(error, dropped: callers.droppedFields(from: head)), to: head)
            clientRequest.finishRequest(refusal.map { .refused($0) } ?? .abandoned)
        }
    }
}
