package import Crypto
import HTTPTransport
import HTTPWire
import JSONText
package import Legacy
import MCP
import Reactor
package import Telemetry
import Translation

/// Remora on one loop: takes requests from connections, admits them, has them carried, and answers.
package final class Gateway {
    let settings: GatewaySettings
    private let admission: AdmissionRules
    private let callers: CallerRules
    private let bypass: Bypass
    private let backends: Backends
    let sessions: SessionPool
    let lists: Lists
    private let subscriptions: Subscriptions
    private let knownCallers: KnownCallers
    private let interactions: Interactions
    private let calls: ParkedCalls
    private let log: Log
    private let tally: RequestTally
    /// Requests that are being answered.
    private(set) var inFlight = 0
    /// Signalled when there are none.
    let emptied = Wakeup()

    /// - Parameters:
    ///   - memory: that of the loop, which every gateway there shares.
    ///   - affinity: shared by all loops of the process.
    ///   - key: shared by all loops of the process, so that a caller has one hash in the log.
    ///   - seal: shared by them too, because what one sealed may come back to another.
    package init(
        settings: GatewaySettings, backends: Backends, sessions: SessionPool, memory: LoopMemory,
        affinity: SessionAffinity,
        key: HashKey,
        seal: Seal, log: Log
    ) {
        self.settings = settings
        self.backends = backends
        tally = memory.tally
        admission = AdmissionRules(settings: settings)
        callers = CallerRules(
            isolateBy: settings.isolateBy, byCertificate: settings.isolatesByCertificate, key: key)
        self.sessions = sessions
        lists = Lists(sessions: sessions, settings: settings, seal: seal)
        subscriptions = Subscriptions(sessions: sessions, settings: settings)
        calls = memory.calls
        interactions = Interactions(
            sessions: sessions, lists: lists, settings: settings, calls: memory.calls, seal: seal,
            replicas: memory.replicas, log: log)
        bypass = Bypass(
            settings: settings, backends: backends, sessions: sessions, callers: callers, memory: memory,
            affinity: affinity, log: log)
        bypass.onModern = { [subscriptions] in
            sessions.retireAll()
            // Who listens is told to listen again, and then gets the server itself.
            subscriptions.endAll()
        }
        self.log = log
        knownCallers = KnownCallers(callers, seal: seal)
        sessions.onEvent = { [lists, subscriptions, callers, replicas = memory.replicas] event in
            // A client that lists on a cue must not get the old list: it is dropped first.
            lists.heard(event)
            subscriptions.heard(event)
            if case .changed(let key, let cue) = event,
                let identity = callers.identity(of: key.principal)
            {
                replicas.tell(cue, of: identity)
            }
        }
    }

    /// To be called once, on the loop.
    package func start() { bypass.start() }

    /// Ends what would not end by itself: the process is about to stop, or another gateway serves from now on.
    package func drain() {
        subscriptions.drain()
        bypass.drain()
    }

    /// The way of answers to a connection. One serves all requests of it, whichever gateway answers.
    func responder(on connection: HTTPServerConnection) -> Responder {
        Responder(on: connection, maxUnsent: settings.streamBuffer)
    }

    /// Answers what cannot be answered and gone on from.
    func refuse(_ flaw: HTTPRequestFlaw, by responder: Responder) {
        refuse(.flawed(flaw), id: nil, by: responder, RequestRecord(in: tally), closes: true)
    }

    // MARK: Numbers

    package var sessionCounts: SessionCounts { sessions.counts }

    package var backendCounts: [BackendCounts] { backends.counts }

    /// What it keeps, and who listens.
    var keptCounts: (listeners: Int, lists: Int, listBytes: Int) {
        (subscriptions.count, lists.keptCount, lists.keptSize)
    }

    /// See `Backends.checkReachability`.
    package func checkBackend(patience: Duration) async -> Bool {
        await backends.checkReachability(patience: patience)
    }

    // MARK: The end

    /// Another gateway has taken over, and no request is in flight here any more: returns when the last session has been
    /// ended on the server.
    func retire() async {
        lists.close()
        await sessions.retire()
        sessions.onEvent = nil
    }

    // MARK: Other loops and replicas

    /// Answers a request that another loop brings: a retry that was let in elsewhere.
    func serveHandedOver(_ request: HTTPServerRequest, by responder: Responder) async {
        guard let task = PeerTask(request.head.target), task != .hear else {
            return responder.connection.respond(HTTPResponse(status: 404, closes: true))
        }
        let record = RequestRecord(in: tally)
        switch admit(request, isHandedOver: true, by: responder, record) {
        case .answered:
            break
        case .request(let admitted, let caller) where interactions.concern(admitted) != nil:
            await interact(admitted, request, as: task, from: caller, by: responder, record)
        case .legacy, .request:
            giveAway(by: responder, record)
        }
    }

    /// Servers told this to other replicas or loops, on sessions of their callers. It is not told to anybody else.
    func hear(_ cues: [PeerCue]) {
        for told in cues {
            guard let principal = knownCallers.principal(told.caller) else { continue }
            lists.heard(told.cue, by: principal)
            sessions.heard(told.cue, by: principal)
            subscriptions.heard(told.cue, by: principal)
        }
    }

    /// Ends every session. To be called when no request is in flight any more.
    ///
    /// - Parameter end: when to leave those alone that are left.
    func close(until end: Instant) async {
        lists.close()
        await sessions.closeAll(until: end)
    }

    // MARK: Requests

    /// A subscription that was begun.
    struct Listening {
        fileprivate let subscription: Subscription
        fileprivate let place: Subscriptions.Place
        fileprivate let record: RequestRecord
    }

    /// Offered a request when it has come: takes it if it is one to translate on a session that is shared. Nearly all of
    /// these wait for nothing but the server's answer, and need no task for that.
    func take(_ request: HTTPServerRequest, by responder: Responder) -> Bool {
        guard bypass.claim(request, on: responder.connection) == nil,
            case .request(let admitted) = admission.admit(request), admitted.method != .listen
        else { return false }
        let capabilities = interactions.concern(admitted)
        if capabilities != nil, interactions.isRetry(admitted) { return false }
        began()
        let record = RequestRecord(in: tally, since: sessions.loop.now)
        if let capabilities {
            let caller = describe(admitted, request, isHandedOver: false, by: responder, record)
            let leg = leg(admitted, of: request, by: responder, record, capabilities)
            leg.gateway = self
            interactions.begin(leg, from: caller)
            return true
        }
        let exchange = begin(
            admitted, of: request, from: describe(admitted, request, isHandedOver: false, by: responder, record),
            by: responder, record)
        if !exchange.start() { takeTime(for: exchange) }
        return true
    }

    private func leg(
        _ admitted: ModernRequest, of request: HTTPServerRequest, by responder: Responder, _ record: RequestRecord,
        _ capabilities: Interactions.Capabilities
    ) -> CallLeg {
        let leg = CallLeg(
            calls.nextLeg(), admitted, of: request, to: responder, record, capabilities: capabilities,
            until: sessions.loop.now + settings.requestTimeout)
        responder.begin(onDisconnect: { leg.leave() })
        return leg
    }

    /// Answers the request that a call was begun with, which has its outcome.
    func conclude(_ leg: CallLeg) {
        guard let outcome = leg.outcome else { preconditionFailure("a leg ended without an outcome") }
        // What a client leaves behind, and what may be for another server now, is not for the event that told of it.
        if case .failed(let error) = outcome, error.kind == .cancelled || outcome.wasNeverSent {
            sessions.loop.spawn {
                if outcome.wasNeverSent, await self.bypass.hasTurnedModern(leg.source.head),
                    !leg.responder.isStreaming
                {
                    await self.bypass.pass(leg.source, on: leg.responder.connection, leg.record, isModern: true)
                } else {
                    self.conclude(outcome, of: leg)
                }
                self.served(by: leg.responder)
            }
            return
        }
        conclude(outcome, of: leg)
        served(by: leg.responder)
    }

    private func conclude(_ outcome: Exchange.Outcome, of leg: CallLeg) {
        leg.record.describe(leg)
        conclude(outcome, id: Array(leg.request.rawID), of: leg.source.head, by: leg.responder, leg.record)
    }

    /// Something has come of what ``Exchange/start()`` has sent.
    func goOn(with exchange: Exchange) {
        guard let outcome = exchange.finish() else { return takeTime(for: exchange) }
        conclude(outcome, of: exchange)
        served(by: exchange.responder)
    }

    /// Does with a task what is left to do for a request that was taken.
    private func takeTime(for exchange: Exchange) {
        sessions.loop.spawn {
            await self.run(exchange)
            self.served(by: exchange.responder)
        }
    }

    private func served(by responder: Responder) {
        ended()
        responder.connection.served()
    }

    /// A request is being answered.
    func began() { inFlight += 1 }

    /// And has been.
    func ended() {
        inFlight -= 1
        if inFlight == 0 { emptied.signal() }
    }

    /// Answers a request that was not taken, or returns the subscription that it has begun, for ``listen(_:by:)``: whoever
    /// listens may do so for days, and does not need the request for it.
    func serve(_ request: HTTPServerRequest, by responder: Responder) async -> Listening? {
        let record = RequestRecord(in: tally)
        if let claim = bypass.claim(request, on: responder.connection),
            await bypass.serve(claim, request, on: responder.connection, record)
        {
            return nil
        }
        switch admit(request, isHandedOver: false, by: responder, record) {
        case .answered:
            break
        case .legacy:
            await bypass.pass(request, on: responder.connection, record, isModern: false)
        case .request(let admitted, let caller):
            if admitted.method == .listen {
                return await beginListening(admitted, of: request.head, from: caller, by: responder, record)
            }
            if interactions.concern(admitted) != nil {
                await interact(admitted, request, as: nil, from: caller, by: responder, record)
            } else {
                await run(begin(admitted, of: request, from: caller, by: responder, record))
            }
        }
        return nil
    }

    private func begin(
        _ admitted: ModernRequest, of request: HTTPServerRequest, from caller: Caller, by responder: Responder,
        _ record: RequestRecord
    ) -> Exchange {
        let exchange = Exchange(admitted, of: request, from: caller, to: responder, record, by: self)
        responder.begin(onDisconnect: { exchange.cancel() })
        return exchange
    }

    private func run(_ exchange: Exchange) async {
        let outcome = await exchange.run()
        let (responder, source) = (exchange.responder, exchange.source)
        // An answer that has begun as a stream goes on as one: another status and other fields would come too late.
        if outcome.wasNeverSent, await bypass.hasTurnedModern(source.head), !responder.isStreaming {
            return await bypass.pass(source, on: responder.connection, exchange.record, isModern: true)
        }
        conclude(outcome, of: exchange)
    }

    private func conclude(_ outcome: Exchange.Outcome, of exchange: Exchange) {
        exchange.record.notifications = exchange.forwarded
        conclude(
            outcome, id: Array(exchange.rawID), of: exchange.source.head, by: exchange.responder, exchange.record)
    }

    private func beginListening(
        _ request: ModernRequest, of head: HTTPRequestHead, from caller: Caller, by responder: Responder,
        _ record: RequestRecord
    ) async -> Listening? {
        let subscription = Subscription(id: Array(request.rawID), to: responder)
        responder.begin(onDisconnect: { subscription.abandon() })
        switch await subscriptions.begin(request, from: caller, subscription) {
        case .begun(let place):
            return Listening(subscription: subscription, place: place, record: record)
        case .refused(let refusal):
            refuse(refusal, id: subscription.id, by: responder, record)
        case .failed(let error):
            fail(error, id: subscription.id, of: head, by: responder, record)
        }
        return nil
    }

    /// Serves a request for a call during which the server may ask.
    ///
    /// - Parameter task: what another loop or replica wants done with it; nil where its client brought it.
    private func interact(
        _ admitted: ModernRequest, _ request: HTTPServerRequest, as task: PeerTask?, from caller: Caller,
        by responder: Responder, _ record: RequestRecord
    ) async {
        guard let capabilities = interactions.concern(admitted) else {
            preconditionFailure("a call that shares sessions")
        }
        let id = Array(admitted.rawID)
        let place = interactions.place(of: admitted, from: caller)
        if case .refused(let refusal) = place { return refuse(refusal, id: id, by: responder, record) }
        if case .elsewhere(let state) = place {
            if let task {
                // Whoever asks finds out who goes on.
                guard case .succeed = task else { return giveAway(by: responder, record) }
            } else {
                switch await interactions.pass(request, state, answering: responder.connection) {
                case .ours: break
                case .answered(let status, let bytes): return record.forwarded(status: status, bytes: bytes, to: log)
                case .unknown(let error): return failHandedOver(error, id: id, by: responder, record)
                }
            }
        }
        let leg = leg(admitted, of: request, by: responder, record, capabilities)
        let outcome = await interactions.serve(leg, from: caller, at: place)
        if case .new = place, outcome.wasNeverSent, await bypass.hasTurnedModern(request.head), !responder.isStreaming {
            return await bypass.pass(request, on: responder.connection, record, isModern: true)
        }
        conclude(outcome, of: leg)
    }

    /// Tells another loop or replica that the call is not here.
    private func giveAway(by responder: Responder, _ record: RequestRecord) {
        responder.connection.respond(PeerAnswer.gone)
        record.forwarded(status: 410, bytes: 0, to: log)
    }

    /// Whoever has the call was reached, and did not answer.
    private func failHandedOver(
        _ error: BackendError, id: [UInt8], by responder: Responder, _ record: RequestRecord
    ) {
        record.failed(error)
        guard let refusal = Refusal(handedOver: error) else {
            record.status = 499
            return record.write(to: log)
        }
        refuse(refusal, id: id, by: responder, record)
    }

    /// Serves a subscription until it ends.
    func listen(_ listening: Listening, by responder: Responder) async {
        await listening.subscription.run()
        listening.place.leave()
        listening.record.notifications = listening.subscription.cues
        if let result = listening.subscription.result {
            conclude(200, text: result, by: responder, listening.record)
        } else {
            listening.record.failed(BackendError(.cancelled, "the client went away"))
            close(listening.record)
        }
    }

    /// What is to be done with a request.
    private enum Admitted {
        /// To be translated, for this caller.
        case request(ModernRequest, Caller)
        /// Of an older revision: to be passed through.
        case legacy
        /// Nothing any more.
        case answered
    }

    private func admit(
        _ request: HTTPServerRequest, isHandedOver: Bool, by responder: Responder, _ record: RequestRecord
    ) -> Admitted {
        record.requestBytes = request.body.count
        switch admission.admit(request, isHandedOver: isHandedOver) {
        case .refused(let refusal, let id):
            refuse(refusal, id: id, by: responder, record)
            return .answered
        case .legacy:
            return .legacy
        case .notification:
            responder.finish(HTTPResponse(status: 202), body: [UInt8]())
            record.status = 202
            record.write(to: log)
            return .answered
        case .request(let admitted):
            return .request(
                admitted, describe(admitted, request, isHandedOver: isHandedOver, by: responder, record))
        }
    }

    private func describe(
        _ admitted: ModernRequest, _ request: HTTPServerRequest, isHandedOver: Bool, by responder: Responder,
        _ record: RequestRecord
    ) -> Caller {
        let subject = isHandedOver ? PeerSubject.read(request.head) : responder.connection.clientSubject
        let caller = callers.caller(of: request.head, subject: subject)
        record.requestBytes = request.body.count
        record.describe(admitted, from: caller)
        return caller
    }

    private func conclude(
        _ outcome: Exchange.Outcome, id: @autoclosure () -> [UInt8], of head: HTTPRequestHead,
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

    private func conclude(
        _ status: Int, text: some HTTPBody, by responder: Responder, _ record: RequestRecord
    ) {
        record.status = status
        responder.finish(HTTPResponse(status: status, contentType: "application/json"), body: text)
        record.responseBytes = responder.bytes
        record.write(to: log)
    }

    private func fail(
        _ error: BackendError, id: [UInt8], of head: HTTPRequestHead, by responder: Responder, _ record: RequestRecord
    ) {
        record.failed(error)
        if let refusal = bypass.published(Refusal(error), to: head) {
            return refuse(refusal, id: id, by: responder, record)
        }
        close(record)
    }

    /// Nobody is left to answer.
    private func close(_ record: RequestRecord) {
        record.status = 499
        record.write(to: log)
    }

    private func refuse(
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
    }
}
