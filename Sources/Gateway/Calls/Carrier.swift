import HTTPTransport
import HTTPWire
import Legacy
import Reactor

/// What the requests of one gateway are carried with, and how they end by what came of them.
final class Carrier {
    let settings: GatewaySettings
    let sessions: SessionPool
    let lists: Lists
    let forwarder: Forwarder
    private let callers: CallerRules
    /// Requests that are being answered.
    private(set) var inFlight = 0
    /// Signalled when there are none.
    let emptied = Wakeup()

    init(
        settings: GatewaySettings, sessions: SessionPool, lists: Lists, forwarder: Forwarder, callers: CallerRules
    ) {
        self.settings = settings
        self.sessions = sessions
        self.lists = lists
        self.forwarder = forwarder
        self.callers = callers
    }

    // MARK: What is in flight

    /// A request is being answered.
    func began() { inFlight += 1 }

    /// And has been.
    func ended() {
        inFlight -= 1
        if inFlight == 0 { emptied.signal() }
    }

    /// A request that was taken has been answered.
    func served(by responder: Responder) {
        ended()
        responder.connection.served()
    }

    // MARK: Exchanges

    /// Something has come of what ``Exchange/start()`` has sent.
    func goOn(with exchange: Exchange) {
        guard let outcome = exchange.finish() else { return takeTime(for: exchange) }
        finish(exchange, outcome)
        served(by: exchange.responder)
    }

    /// Does with a task what is left to do for a request that was taken.
    func takeTime(for exchange: Exchange) {
        sessions.loop.spawn {
            await self.run(exchange)
            self.served(by: exchange.responder)
        }
    }

    func run(_ exchange: Exchange) async {
        let outcome = await exchange.run()
        if await passed(outcome, of: exchange.source, exchange.clientRequest) { return }
        finish(exchange, outcome)
    }

    /// Passes on a request that found no session, where the server turns out to speak 2026-07-28 by now. Returns whether it
    /// did.
    func passed(
        _ outcome: RequestOutcome, of source: HTTPServerRequest, _ clientRequest: ClientRequest
    ) async -> Bool {
        guard maySpeakModern(outcome, clientRequest) else { return false }
        await passAsModern(source, clientRequest)
        return true
    }

    /// Whether a request is to be passed on, because it found no session and the server turns out to speak 2026-07-28 by now.
    func maySpeakModern(_ outcome: RequestOutcome, _ clientRequest: ClientRequest) -> Bool {
        // An answer that has begun as a stream goes on as one: another status and other fields would come too late.
        outcome.wasNeverSent && forwarder.servesWithoutSession && !clientRequest.responder.isStreaming
    }

    func passAsModern(_ source: HTTPServerRequest, _ clientRequest: ClientRequest) async {
        clientRequest.responder.leave()
        await forwarder.forwardRequest(source, clientRequest, isModern: true)
    }

    private func finish(_ exchange: Exchange, _ outcome: RequestOutcome) {
        exchange.clientRequest.notifications = exchange.forwarded
        finish(exchange.clientRequest, outcome, of: exchange.source.head)
    }

    // MARK: The end

    /// Ends a request with what came of it.
    func finish(_ clientRequest: ClientRequest, _ outcome: RequestOutcome, of head: HTTPRequestHead) {
        switch outcome {
        case .answered(let answer): clientRequest.finish(.answered(answer))
        case .refused(let refusal): clientRequest.finish(.refused(refusal))
        case .failed(let error):
            clientRequest.failed(error)
            let refusal = forwarder.rewriteChallenges(
                of: Refusal(error, dropped: callers.dropped(from: head)), to: head)
            clientRequest.finish(refusal.map { .refused($0) } ?? .abandoned)
        }
    }
}
