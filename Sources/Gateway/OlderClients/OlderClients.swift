import Crypto
import HTTPTransport
import HTTPWire
import JSONText
import Legacy
import MCP
import Reactor
import Telemetry

/// Clients of older revisions, as one gateway serves them: before a command, and before a server over HTTP+SSE, each session of
/// theirs is a process or a stream of its own. Before a server over Streamable HTTP they are passed through (`Bypass`).
final class OlderClients {
    private let settings: GatewaySettings
    private let sessions: SessionPool
    private let backends: Backends
    private let callers: CallerRules
    private let bypass: Bypass
    private let memory: LoopMemory
    private let affinity: SessionAffinity
    private let log: Log
    /// Streams on which clients listen, by this gateway.
    private var listening: [ObjectIdentifier: OlderAnswer] = [:]
    private var isDraining = false
    /// What serves in its place, since another configuration was taken over.
    private var heir: OlderClients?

    init(
        settings: GatewaySettings, sessions: SessionPool, callers: CallerRules, bypass: Bypass, memory: LoopMemory,
        affinity: SessionAffinity, log: Log
    ) {
        self.settings = settings
        self.sessions = sessions
        backends = sessions.backends
        self.callers = callers
        self.bypass = bypass
        self.memory = memory
        self.affinity = affinity
        self.log = log
    }

    private var loop: Loop { backends.loop }

    /// Ends the streams on which clients listen, which would not end by themselves: clients open others.
    func drain() {
        isDraining = true
        for answer in listening.values { answer.end() }
    }

    /// Another gateway serves from now on: sessions with servers that it has not end. All of them end at once where it serves no
    /// older clients, and where it tells callers apart in another way, so that one could come into the session of another.
    func relieve(by next: OlderClients) {
        heir = next
        endSessions(unlessOf: next)
    }

    private func endSessions(unlessOf next: OlderClients) {
        guard next.settings.passesLegacyClients, next.callers.tellsCallersApart(as: callers) else {
            return memory.olderSessions.endAll(.reconfigured)
        }
        memory.olderSessions.retire(except: next.backends)
    }

    // MARK: Where a request belongs

    /// Answers a request of an older client, and writes its line of the log.
    func serve(_ request: HTTPServerRequest, by responder: Responder, _ record: RequestRecord) async {
        guard let id = request.head.fields.first(Header.sessionID).map({ Array($0.bytes) }) else {
            return await begin(request, by: responder, record)
        }
        if let session = memory.olderSessions[id] {
            return await serve(request, in: session, isHandedOver: false, by: responder, record)
        }
        if let other = affinity.loop(of: id), other != memory.index {
            return await handOver(request, to: other, by: responder, record)
        }
        switch backends.carriesClients {
        case true:
            refuse(.sessionNotFound, request, by: responder, record)
        case nil where request.head.method == .post:
            // A session of before a restart. The place of an event stream takes no POST.
            if await bypass.pass(request, on: responder.connection, record, unless: { $0 == 405 }) {
                refuse(.sessionNotFound, request, by: responder, record)
            }
        case false, nil:
            await pass(request, by: responder, record)
        }
    }

    /// Answers a request that another loop has let in, because the session is here.
    func serveHandedOver(_ request: HTTPServerRequest, by responder: Responder, _ record: RequestRecord) async {
        let id = request.head.fields.first(Header.sessionID).map { Array($0.bytes) }
        guard let session = id.flatMap({ memory.olderSessions[$0] }) else {
            return refuse(.sessionNotFound, request, by: responder, record)
        }
        await serve(request, in: session, isHandedOver: true, by: responder, record)
    }

    private func handOver(
        _ request: HTTPServerRequest, to other: Int, by responder: Responder, _ record: RequestRecord
    ) async {
        describe(request, from: caller(of: request, responder), record)
        switch await memory.replicas.handOver(request, to: other, answering: responder.connection) {
        case .answered(let status, let bytes): record.forwarded(status: status, bytes: bytes, to: log)
        case .failed(let error):
            fail(error, request, by: responder, record)
        }
    }

    private func pass(_ request: HTTPServerRequest, by responder: Responder, _ record: RequestRecord) async {
        await bypass.pass(request, on: responder.connection, record, isModern: false)
    }

    // MARK: A session

    private func serve(
        _ request: HTTPServerRequest, in session: OlderSession, isHandedOver: Bool, by responder: Responder,
        _ record: RequestRecord
    ) async {
        let subject = isHandedOver ? PeerSubject.read(request.head) : responder.connection.clientSubject
        let caller = callers.caller(
            of: request.head, subject: subject,
            client: isHandedOver ? PeerAddress.read(request.head) : responder.connection.clientAddress)
        describe(request, from: caller, record)
        guard session.principal == caller.principal else {
            return refuse(.sessionNotFound, request, by: responder, record)
        }
        switch request.head.method {
        case .get:
            await listen(in: session, by: responder, record)
        case .delete:
            session.end(.closed)
            record.status = 200
            responder.finish(HTTPResponse(status: 200), body: [UInt8]())
        default:
            return await post(request, in: session, from: caller, by: responder, record)
        }
        record.write(to: log)
    }

    private func listen(in session: OlderSession, by responder: Responder, _ record: RequestRecord) async {
        let answer = OlderAnswer(by: responder, record, on: loop)
        guard !isDraining else { return answer.end() }
        listening[ObjectIdentifier(answer)] = answer
        await session.listen(answer)
        listening[ObjectIdentifier(answer)] = nil
    }

    private func post(
        _ request: HTTPServerRequest, in session: OlderSession, from caller: Caller, by responder: Responder,
        _ record: RequestRecord
    ) async {
        guard let messages = messages(of: request, isBatchable: session.hasBatches) else {
            return refuse(.notCarried, request, by: responder, record)
        }
        let requests = messages.compactMap(OlderRouting.Request.init)
        guard !requests.isEmpty else {
            do throws(BackendError) {
                try await session.send(request.body, messages, caller.credentials)
            } catch {
                return fail(error, request, by: responder, record)
            }
            record.status = 202
            responder.finish(HTTPResponse(status: 202), body: [UInt8]())
            return record.write(to: log)
        }
        let answer = session.ask(
            request.body, requests, caller.credentials,
            published: { [self] error in
                record.failed(error)
                return published(error, to: request.head, hasID: true)
            },
            by: { OlderAnswer(by: responder, record, on: loop) })
        guard let answer else { return refuse(.repeatedID, request, by: responder, record) }
        await answer.wait()
        record.write(to: log)
    }

    private func messages(of request: HTTPServerRequest, isBatchable: Bool) -> [CarriedMessage]? {
        guard let document = try? JSONDocument(request.body, maxDepth: settings.maxDepth) else { return nil }
        return CarriedMessage.all(in: document, isBatchable: isBatchable)
    }

    // MARK: A new session

    private func begin(_ request: HTTPServerRequest, by responder: Responder, _ record: RequestRecord) async {
        guard request.head.method == .post, let message = messages(of: request, isBatchable: false)?.first,
            message.isInitialize
        else {
            // A GET may be that of a client of HTTP+SSE.
            guard backends.startsProcesses || backends.carriesClients == true && request.head.method == .post else {
                return await pass(request, by: responder, record)
            }
            describe(request, from: caller(of: request, responder), record)
            return refuse(.missingSession, request, by: responder, record)
        }
        switch backends.carriesClients {
        case true:
            await open(message, request, isSure: backends.startsProcesses, by: responder, record)
        case false:
            await pass(request, by: responder, record)
        case nil:
            // As a client that knows only a URL (2025-11-25, basic/transports, "Backwards Compatibility").
            let connection = responder.connection
            guard await bypass.pass(request, on: connection, record, unless: { [400, 404, 405].contains($0) }) else {
                return
            }
            await open(message, request, isSure: false, by: responder, record)
        }
    }

    /// Opens a session, and answers `initialize` with what the server says.
    ///
    /// - Parameter isSure: whether there is no other way to such a session.
    private func open(
        _ message: CarriedMessage, _ request: HTTPServerRequest, isSure: Bool, by responder: Responder,
        _ record: RequestRecord
    ) async {
        guard case .request(let id) = message.kind else { return }
        let caller = caller(of: request, responder)
        describe(request, from: caller, record)
        let name = Base64URL.encode(SecureRandom.bytes(OlderClients.idSize))
        let answer = OlderAnswer(by: responder, record, on: loop)
        // It may become a stream before the server has said anything.
        let fields = responder.connection.answerFields
        responder.connection.answerFields.append((Header.sessionID, name))
        let channel: ClientChannel
        let waiter = SessionWaiter(until: nil)
        answer.onLeave = { waiter.leave() }
        // The client may have left before its request was looked at.
        if answer.isOver { waiter.leave() }
        defer { answer.onLeave = nil }
        do throws(BackendError) {
            channel = try await sessions.openChannel(
                request.body, id: id, for: caller.principal, credentials: caller.credentials, by: waiter)
        } catch {
            responder.connection.answerFields = fields
            if !isSure, error.isNoEventStream, !answer.isOver, !responder.isStreaming {
                responder.leave()
                return await pass(request, by: responder, record)
            }
            record.failed(error)
            if let refusal = published(error, to: request.head, hasID: true) {
                answer.finish(refusal, rawID: message.rawID)
            }
            return record.write(to: log)
        }
        if answer.hasLeft || !channel.isAgreed {
            // No client knows of it.
            loop.spawn { await channel.end(.closed) }
            responder.connection.answerFields = fields
        } else {
            add(name, of: caller, on: channel)
        }
        answer.finish(channel.answer.text)
        record.write(to: log)
    }

    /// Bytes of a session's id, too many to be guessed.
    private static let idSize = 24

    private func add(_ name: [UInt8], of caller: Caller, on channel: ClientChannel) {
        let session = OlderSession(
            name, of: caller, on: channel,
            OlderSession.Terms(
                idleTimeout: sessions.idleTimeout, requestTimeout: settings.requestTimeout,
                maxKeptBytes: settings.streamBuffer),
            on: loop, log: log)
        memory.olderSessions.add(session) { [affinity] in affinity.forget(name) }
        affinity.learn(name, on: memory.index)
        session.start()
        // Another configuration was taken over while it was being opened.
        if var next = heir {
            while let further = next.heir { next = further }
            endSessions(unlessOf: next)
        }
    }

    // MARK: Answers

    private func caller(of request: HTTPServerRequest, _ responder: Responder) -> Caller {
        callers.caller(
            of: request.head, subject: responder.connection.clientSubject, client: responder.connection.clientAddress)
    }

    private func describe(_ request: HTTPServerRequest, from caller: Caller, _ record: RequestRecord) {
        record.describe("session", request.head.method.name, from: caller)
        record.requestBytes = request.body.count
    }

    /// - Parameter hasID: whether a JSON-RPC request is answered.
    private func published(_ error: BackendError, to head: HTTPRequestHead, hasID: Bool) -> Refusal? {
        if error.kind == .sessionLost { return .sessionNotFound }
        return bypass.published(Refusal(error, hasID: hasID), to: head)
    }

    private func fail(
        _ error: BackendError, _ request: HTTPServerRequest, by responder: Responder, _ record: RequestRecord
    ) {
        record.failed(error)
        guard let refusal = published(error, to: request.head, hasID: id(of: request) != nil) else {
            record.status = 499
            return record.write(to: log)
        }
        refuse(refusal, request, by: responder, record)
    }

    private func refuse(
        _ refusal: Refusal, _ request: HTTPServerRequest, by responder: Responder, _ record: RequestRecord
    ) {
        responder.connection.refuse(refusal, id: id(of: request), record)
        record.write(to: log)
    }

    /// The id of a request; nil for what is none.
    private func id(of request: HTTPServerRequest) -> [UInt8]? {
        guard let message = messages(of: request, isBatchable: false)?.first, case .request = message.kind else {
            return nil
        }
        return message.rawID
    }
}

extension OlderRouting.Request {
    /// Nil for what is no request.
    fileprivate init?(_ message: CarriedMessage) {
        guard case .request(let id) = message.kind, let rawID = message.rawID else { return nil }
        self.init(id: id, rawID: rawID, progressToken: message.progressToken)
    }
}
