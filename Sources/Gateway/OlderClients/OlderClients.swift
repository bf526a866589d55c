import Crypto
import HTTPTransport
import HTTPWire
import JSONText
import Legacy
import MCP
import Reactor
import Telemetry

/// Clients of older revisions, as one gateway serves them: before a command, and before a server over HTTP+SSE, each session of
/// theirs is a process or a stream of its own. Before a server over Streamable HTTP they are forwarded (`Forwarder`).
final class OlderClients {
    private let settings: GatewaySettings
    private let sessions: SessionPool
    private let backends: Backends
    private let callers: CallerRules
    private let forwarder: Forwarder
    /// Those of the loop, whichever gateway opened them.
    private let known: OlderSessions
    private let replicas: Replicas
    private let affinity: SessionAffinity
    private let log: Log
    /// Streams on which clients listen, by this gateway.
    private var listening: [ObjectIdentifier: OlderAnswer] = [:]
    private var isDraining = false
    /// What serves in its place, since another configuration was taken over.
    private var heir: OlderClients?

    init(
        settings: GatewaySettings, sessions: SessionPool, callers: CallerRules, forwarder: Forwarder,
        known: OlderSessions, replicas: Replicas, affinity: SessionAffinity, log: Log
    ) {
        self.settings = settings
        self.sessions = sessions
        backends = sessions.backends
        self.callers = callers
        self.forwarder = forwarder
        self.known = known
        self.replicas = replicas
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
            return known.endAll(.reconfigured)
        }
        known.retire(except: next.backends)
    }

    // MARK: Where a request belongs

    /// Ends a request of an older client.
    func serve(_ source: HTTPServerRequest, _ clientRequest: ClientRequest) async {
        guard let id = source.head.fields.first(Header.sessionID).map({ Array($0.bytes) }) else {
            return await begin(source, clientRequest)
        }
        if let session = known[id] {
            return await serve(source, in: session, isHandedOver: false, clientRequest)
        }
        if let other = affinity.loop(of: id), other != replicas.index {
            return await handOver(source, to: other, clientRequest)
        }
        switch backends.carriesClients {
        case true:
            refuse(.sessionNotFound, source, clientRequest)
        case nil where source.head.method == .post:
            // A session of before a restart. The place of an event stream takes no POST.
            if await forwarder.forwardRequest(source, clientRequest, unless: { $0 == 405 }) {
                refuse(.sessionNotFound, source, clientRequest)
            }
        case false, nil:
            await pass(source, clientRequest)
        }
    }

    /// Answers a request that another loop has let in, because the session is here.
    func serveHandedOver(_ source: HTTPServerRequest, _ clientRequest: ClientRequest) async {
        let id = source.head.fields.first(Header.sessionID).map { Array($0.bytes) }
        guard let session = id.flatMap({ known[$0] }) else {
            return refuse(.sessionNotFound, source, clientRequest)
        }
        await serve(source, in: session, isHandedOver: true, clientRequest)
    }

    private func handOver(
        _ source: HTTPServerRequest, to other: Int, _ clientRequest: ClientRequest
    ) async {
        describe(source, from: caller(of: source, clientRequest), clientRequest)
        switch await replicas.handOverRequest(source, to: other, answering: clientRequest.connection) {
        case .answered(let status, let bytes):
            clientRequest.forwarded()
            clientRequest.finish(.relayed(status: status, bytes: bytes))
        case .failed(let error):
            fail(error, source, clientRequest)
        }
    }

    private func pass(_ source: HTTPServerRequest, _ clientRequest: ClientRequest) async {
        await forwarder.forwardRequest(source, clientRequest, isModern: false)
    }

    // MARK: A session

    private func serve(
        _ source: HTTPServerRequest, in session: OlderSession, isHandedOver: Bool, _ clientRequest: ClientRequest
    ) async {
        let subject = isHandedOver ? PeerSubject.read(source.head) : clientRequest.connection.clientSubject
        let caller = callers.caller(
            of: source.head, subject: subject,
            client: isHandedOver ? PeerAddress.read(source.head) : clientRequest.connection.clientAddress)
        describe(source, from: caller, clientRequest)
        guard session.principal == caller.principal else {
            return refuse(.sessionNotFound, source, clientRequest)
        }
        switch source.head.method {
        case .get:
            await listen(in: session, clientRequest)
        case .delete:
            session.end(.closed)
            clientRequest.finish(.empty(HTTPResponse(status: 200)))
        default:
            await post(source, in: session, from: caller, clientRequest)
        }
    }

    private func listen(in session: OlderSession, _ clientRequest: ClientRequest) async {
        let answer = OlderAnswer(to: clientRequest, on: loop)
        guard !isDraining else { return answer.end() }
        listening[ObjectIdentifier(answer)] = answer
        await session.listen(answer)
        listening[ObjectIdentifier(answer)] = nil
    }

    private func post(
        _ source: HTTPServerRequest, in session: OlderSession, from caller: Caller, _ clientRequest: ClientRequest
    ) async {
        guard let messages = messages(of: source, isBatchable: session.hasBatches) else {
            return refuse(.notCarried, source, clientRequest)
        }
        let requests = messages.compactMap(OlderRouting.Request.init)
        guard !requests.isEmpty else {
            do throws(BackendError) {
                try await session.send(source.body, messages, caller.credentials)
            } catch {
                return fail(error, source, clientRequest)
            }
            return clientRequest.finish(.empty(HTTPResponse(status: 202)))
        }
        let answer = session.ask(
            source.body, requests, caller.credentials,
            published: { [self] error in
                clientRequest.failed(error)
                return published(error, to: source.head, hasID: true)
            },
            by: { OlderAnswer(to: clientRequest, on: loop) })
        guard let answer else { return refuse(.repeatedID, source, clientRequest) }
        await answer.wait()
    }

    private func messages(of source: HTTPServerRequest, isBatchable: Bool) -> [CarriedMessage]? {
        guard let document = try? JSONDocument(source.body, maxDepth: settings.maxDepth) else { return nil }
        return CarriedMessage.all(in: document, isBatchable: isBatchable)
    }

    // MARK: A new session

    private func begin(_ source: HTTPServerRequest, _ clientRequest: ClientRequest) async {
        guard source.head.method == .post, let message = messages(of: source, isBatchable: false)?.first,
            message.isInitialize
        else {
            // A GET may be that of a client of HTTP+SSE.
            guard backends.startsProcesses || backends.carriesClients == true && source.head.method == .post else {
                return await pass(source, clientRequest)
            }
            describe(source, from: caller(of: source, clientRequest), clientRequest)
            return refuse(.missingSession, source, clientRequest)
        }
        switch backends.carriesClients {
        case true:
            await open(message, source, isSure: backends.startsProcesses, clientRequest)
        case false:
            await pass(source, clientRequest)
        case nil:
            // As a client that knows only a URL (2025-11-25, basic/transports, "Backwards Compatibility").
            guard await forwarder.forwardRequest(source, clientRequest, unless: { [400, 404, 405].contains($0) }) else {
                return
            }
            await open(message, source, isSure: false, clientRequest)
        }
    }

    /// Opens a session, and answers `initialize` with what the server says.
    ///
    /// - Parameter isSure: whether there is no other way to such a session.
    private func open(
        _ message: CarriedMessage, _ source: HTTPServerRequest, isSure: Bool, _ clientRequest: ClientRequest
    ) async {
        guard case .request(let id) = message.kind else { return }
        let caller = caller(of: source, clientRequest)
        describe(source, from: caller, clientRequest)
        let name = Base64URL.encode(SecureRandom.bytes(OlderClients.idSize))
        let answer = OlderAnswer(to: clientRequest, on: loop)
        // It may become a stream before the server has said anything.
        let fields = clientRequest.connection.answerFields
        clientRequest.connection.answerFields.append((Header.sessionID, name))
        let channel: ClientChannel
        let waiter = SessionWaiter(until: nil)
        answer.onLeave = { waiter.leave() }
        // The client may have left before its request was looked at.
        if answer.isOver { waiter.leave() }
        defer { answer.onLeave = nil }
        do throws(BackendError) {
            channel = try await sessions.openChannel(
                source.body, id: id, for: caller.principal, credentials: caller.credentials, by: waiter)
        } catch {
            clientRequest.connection.answerFields = fields
            if !isSure, error.isNoEventStream, !answer.isOver, !clientRequest.responder.isStreaming {
                clientRequest.responder.leave()
                return await pass(source, clientRequest)
            }
            let error = error.beforeDispatch(of: "initialize")
            answer.failed(error)
            if let refusal = published(error, to: source.head, hasID: true) {
                answer.finish(refusal, rawID: message.rawID)
            } else {
                answer.clientLeft()
            }
            return
        }
        if answer.hasLeft || !channel.isAgreed {
            // No client knows of it.
            loop.spawn { await channel.end(.closed) }
            clientRequest.connection.answerFields = fields
        } else {
            add(name, of: caller, on: channel)
        }
        answer.finish(channel.answer.text)
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
        known.add(session) { [affinity] in affinity.removeLoop(of: name) }
        affinity.setLoop(of: name, to: replicas.index)
        session.start()
        // Another configuration was taken over while it was being opened.
        if var next = heir {
            while let further = next.heir { next = further }
            endSessions(unlessOf: next)
        }
    }

    // MARK: Answers

    private func caller(of source: HTTPServerRequest, _ clientRequest: ClientRequest) -> Caller {
        callers.caller(
            of: source.head, subject: clientRequest.connection.clientSubject,
            client: clientRequest.connection.clientAddress)
    }

    private func describe(_ source: HTTPServerRequest, from caller: Caller, _ clientRequest: ClientRequest) {
        clientRequest.describe("session", source.head.method.name, from: caller)
    }

    /// - Parameter hasID: whether a JSON-RPC request is answered.
    private func published(_ error: BackendError, to head: HTTPRequestHead, hasID: Bool) -> Refusal? {
        if error.kind == .sessionLost { return .sessionNotFound }
        return forwarder.rewriteChallenges(of: Refusal(error, hasID: hasID), to: head)
    }

    private func fail(
        _ error: BackendError, _ source: HTTPServerRequest, _ clientRequest: ClientRequest
    ) {
        clientRequest.failed(error)
        guard let refusal = published(error, to: source.head, hasID: id(of: source) != nil) else {
            return clientRequest.finish(.abandoned)
        }
        refuse(refusal, source, clientRequest)
    }

    private func refuse(
        _ refusal: Refusal, _ source: HTTPServerRequest, _ clientRequest: ClientRequest
    ) {
        clientRequest.rawID = id(of: source).map { $0[...] }
        clientRequest.finish(.refused(refusal))
    }

    /// The id of a request; nil for what is none.
    private func id(of source: HTTPServerRequest) -> [UInt8]? {
        guard let message = messages(of: source, isBatchable: false)?.first, case .request = message.kind else {
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
