import HTTPTransport
import HTTPWire
import Legacy
import MCP
import Reactor
import Telemetry

/// What the requests of one gateway are carried with, and where they end: from what came of a request to its answer, its line of
/// the log and its place in the counts.
final class Carrier {
    let settings: GatewaySettings
    let sessions: SessionPool
    let lists: Lists
    let bypass: Bypass
    private let callers: CallerRules
    private let log: Log
    /// What clients have asked for in vain, because the server does not declare it.
    private var undeclared: Set<ServerCapability> = []
    /// Requests that are being answered.
    private(set) var inFlight = 0
    /// Signalled when there are none.
    let emptied = Wakeup()

    init(
        settings: GatewaySettings, sessions: SessionPool, lists: Lists, bypass: Bypass, callers: CallerRules, log: Log
    ) {
        self.settings = settings
        self.sessions = sessions
        self.lists = lists
        self.bypass = bypass
        self.callers = callers
        self.log = log
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
        conclude(outcome, of: exchange)
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
        if await passed(outcome, of: exchange.source, by: exchange.responder, exchange.record) { return }
        conclude(outcome, of: exchange)
    }

    /// Passes on a request that found no session, where the server turns out to speak 2026-07-28 by now. Returns whether it
    /// did.
    func passed(
        _ outcome: RequestOutcome, of request: HTTPServerRequest, by responder: Responder, _ record: RequestRecord
    ) async -> Bool {
        // An answer that has begun as a stream goes on as one: another status and other fields would come too late.
        guard outcome.wasNeverSent, bypass.servesWithoutSession, !responder.isStreaming else {
            return false
        }
        responder.leave()
        await bypass.pass(request, on: responder.connection, record, isModern: true)
        return true
    }

    private func conclude(_ outcome: RequestOutcome, of exchange: Exchange) {
        exchange.record.notifications = exchange.forwarded
        conclude(
            outcome, id: Array(exchange.rawID), of: exchange.source.head, by: exchange.responder, exchange.record)
    }

    // MARK: The end

    func conclude(
        _ outcome: RequestOutcome, id: @autoclosure () -> [UInt8], of head: HTTPRequestHead,
        by responder: Responder, _ record: RequestRecord
    ) {
        switch outcome {
        case .answered(let answer):
            record.code = answer.code
            if answer.code != nil { record.side = .backend }
            conclude(answer.status, text: answer.text, by: responder, record)
        case .refused(let refusal):
            refuse(refusal, id: id(), by: responder, record)
        case .failed(let error):
            fail(error, id: id(), of: head, by: responder, record)
        }
    }

    func conclude(
        _ status: Int, text: some HTTPBody, by responder: Responder, _ record: RequestRecord
    ) {
        record.status = status
        responder.finish(HTTPResponse(status: status, contentType: "application/json"), body: text)
        record.responseBytes = responder.bytes
        record.write(to: log)
    }

    func fail(
        _ error: BackendError, id: [UInt8], of head: HTTPRequestHead, by responder: Responder, _ record: RequestRecord
    ) {
        record.failed(error)
        if let refusal = bypass.published(
            Refusal(error, dropped: callers.dropped(from: head)), to: head)
        {
            return refuse(refusal, id: id, by: responder, record)
        }
        close(record)
    }

    /// Nobody is left to answer.
    func close(_ record: RequestRecord) {
        record.status = 499
        record.write(to: log)
    }

    func refuse(
        _ refusal: Refusal, id: [UInt8]?, by responder: Responder, _ record: RequestRecord, closes: Bool = false
    ) {
        record.status = refusal.status
        record.code = refusal.code
        record.side = refusal.side
        responder.finish(
            HTTPResponse(
                status: refusal.status, contentType: "application/json", fields: refusal.fields, closes: closes),
            body: refusal.text(id: id.map { $0[...] }))
        record.responseBytes = responder.bytes
        record.write(to: log)
        if let capability = refusal.undeclared { note(undeclared: capability) }
    }

    /// Says once that clients ask for what the server does not declare: some have it all the same.
    private func note(undeclared capability: ServerCapability) {
        guard undeclared.insert(capability).inserted else { return }
        log.write(.info, "capability_undeclared") { line in
            line.field("capability", capability.rawValue)
            line.field(
                "advice", "if the server has \(capability.rawValue), add it to backends[].declare")
        }
    }
}
