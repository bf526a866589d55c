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
    /// The sessions of the loop, of all gateways.
    private let known: OlderSessions
    private let replicas: Replicas
    private let affinity: SessionAffinity
    private let log: Log
    /// Streams on which clients listen, by this gateway.
    private var listening: [ObjectIdentifier: OlderResponse] = [:]
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
    func drainStreams() {
        isDraining = true
        for answer in listening.values { answer.endStream() }
    }

    /// Another gateway serves from now on: sessions with servers that it has not end. All of them end at once where it serves no
    /// older clients, and where it tells callers apart in another way, so that one could come into the session of another.
    func handOver(to next: OlderClients) {
        heir = next
        endSessions(unlessOf: next)
    }

    private func endSessions(unlessOf next: OlderClients) {
        guard next.settings.forwardsLegacyClients, next.callers.tellsCallersApart(as: callers) else {
            return known.endAllSessions(.reconfigured)
        }
        known.retireSessions(except: next.backends)
    }

    // MARK: Where a request belongs

    /// Ends a request of an older client.
    func serveOlderClient(_ source: HTTPServerRequest, from caller: Caller, _ clientRequest: ClientRequest) async {
        guard let id = source.head.fields.first(Header.sessionID).map({ Array($0.bytes) }) else {
            return await beginSession(source, from: caller, clientRequest)
        }
        if let session = known[id] {
            return await serve(source, in: session, from: caller, clientRequest)
        }
        if let other = affinity.loopIndex(of: id), other != replicas.index {
            return await handOver(source, to: other, clientRequest)
        }
        switch backends.carriesClients {
        case true:
            await refuseRequest(.sessionNotFound, source, clientRequest)
        case nil where source.head.method == .post:
            // A session of before a restart. The place of an event stream takes no POST.
            if await forwarder.forwardRequest(source, clientRequest, unless: { $0 == 405 }) {
                await refuseRequest(.sessionNotFound, source, clientRequest)
            }
        case false, nil:
            await forwardToLoop(source, clientRequest)
        }
    }

    /// Answers a request that another loop has let in, because the session is here.
    func serveHandedOver(_ source: HTTPServerRequest, from caller: Caller, _ clientRequest: ClientRequest) async {
        let id = source.head.fields.first(Header.sessionID).map { Array($0.bytes) }
        guard let session = id.flatMap({ known[$0] }) else {
            return await refuseRequest(.sessionNotFound, source, clientRequest)
        }
        await serve(source, in: session, from: caller, clientRequest)
    }

    private func handOver(
        _ source: HTTPServerRequest, to other: Int, _ clientRequest: ClientRequest
    ) async {
        describeRequest(source, clientRequest)
        switch await replicas.handOverRequest(source, to: other, answering: clientRequest.connection) {
        case .answered(let status, let bytes):
            clientRequest.finishForwarded(status: status, bytes: bytes)
        case .failed(let error):
            await failRequest(error, source, clientRequest)
        }
    }

    private func forwardToLoop(_ source: HTTPServerRequest, _ clientRequest: ClientRequest) async {
        await forwarder.forwardRequest(source, clientRequest, isModern: false)
    }

    // MARK: A session

    private func serve(
        _ source: HTTPServerRequest, in session: OlderSession, from caller: Caller, _ clientRequest: ClientRequest
    ) async {
        describeRequest(source, clientRequest)
        guard session.principal == caller.principal else {
            return await refuseRequest(.sessionNotFound, source, clientRequest)
        }
        switch source.head.method {
        case .get:
            await serveListening(in: session, clientRequest)
        case .delete:
            session.endSession(.closed)
            clientRequest.finishRequest(.empty(HTTPResponse(status: 200)))
        default:
            await servePost(source, in: session, from: caller, clientRequest)
        }
    }

    private func serveListening(in session: OlderSession, _ clientRequest: ClientRequest) async {
        let answer = OlderResponse(to: clientRequest, on: loop)
        guard !isDraining else { return answer.endStream() }
        listening[ObjectIdentifier(answer)] = answer
        await session.serveListening(answer)
        listening[ObjectIdentifier(answer)] = nil
    }

    private func servePost(
        _ source: HTTPServerRequest, in session: OlderSession, from caller: Caller, _ clientRequest: ClientRequest
    ) async {
        guard let messages = await carriedMessages(of: source, isBatchable: session.hasBatches) else {
            return await refuseRequest(.notCarried, source, clientRequest)
        }
        let requests = messages.compactMap(OlderRouting.Request.init)
        guard !requests.isEmpty else {
            do throws(BackendError) {
                try await session.deliverMessages(source.body, messages, caller.credentials)
            } catch {
                return await failRequest(error, source, clientRequest)
            }
            return clientRequest.finishRequest(.empty(HTTPResponse(status: 202)))
        }
        let answer = session.beginResponse(
            source.body, requests, caller.credentials,
            published: { [self] error in
                clientRequest.noteFailure(error)
                return publishedRefusal(error, to: source.head, hasID: true)
            },
            by: { OlderResponse(to: clientRequest, on: loop) })
        guard let answer else { return await refuseRequest(.repeatedID, source, clientRequest) }
        await answer.waitForEnd()
    }

    private func carriedMessages(of source: HTTPServerRequest, isBatchable: Bool) async -> [CarriedMessage]? {
        guard let document = try? await source.readDocument(maxDepth: settings.maxDepth, on: loop) else { return nil }
        return CarriedMessage.readMessages(in: document, isBatchable: isBatchable)
    }

    // MARK: A new session

    private func beginSession(_ source: HTTPServerRequest, from caller: Caller, _ clientRequest: ClientRequest) async {
        guard source.head.method == .post, let message = await carriedMessages(of: source, isBatchable: false)?.first,
            message.isInitialize
        else {
            // The GET may come from a client of HTTP+SSE.
            guard backends.startsProcesses || backends.carriesClients == true && source.head.method == .post else {
                return await forwardToLoop(source, clientRequest)
            }
            describeRequest(source, clientRequest)
            return await refuseRequest(.missingSession, source, clientRequest)
        }
        switch backends.carriesClients {
        case true:
            await openSession(message, source, from: caller, isSure: backends.startsProcesses, clientRequest)
        case false:
            await forwardToLoop(source, clientRequest)
        case nil:
            // As a client that knows only a URL (2025-11-25, basic/transports, "Backwards Compatibility").
            guard await forwarder.forwardRequest(source, clientRequest, unless: { [400, 404, 405].contains($0) }) else {
                return
            }
            await openSession(message, source, from: caller, isSure: false, clientRequest)
        }
    }

    /// Opens a session, and answers `initialize` with what the server says.
    ///
    /// - Parameter isSure: whether there is no other way to a session of an older revision.
    private func openSession(
        _ message: CarriedMessage, _ source: HTTPServerRequest, from caller: Caller, isSure: Bool,
        _ clientRequest: ClientRequest
    ) async {
        guard case .request(let id) = message.kind else { return }
        describeRequest(source, clientRequest)
        let name = Base64URL.encodeBytes(SecureRandom.bytes(OlderClients.idSize))
        let answer = OlderResponse(to: clientRequest, on: loop)
        // It may become a stream before the server has said anything.
        let fields = clientRequest.connection.answerFields
        clientRequest.connection.answerFields.append((Header.sessionID, name))
        let channel: ClientChannel
        let waiter = SessionWaiter(until: nil)
        answer.onLeave = { waiter.stopWaiting() }
        // The client may have left before its request was looked at.
        if answer.isOver { waiter.stopWaiting() }
        defer { answer.onLeave = nil }
        do throws(BackendError) {
            channel = try await sessions.openChannel(
                source.body, id: id, for: caller.principal, credentials: caller.credentials, by: waiter)
        } catch {
            clientRequest.connection.answerFields = fields
            if !isSure, error.isNoEventStream, !answer.isOver, !clientRequest.responder.isStreaming {
                clientRequest.responder.leaveResponse()
                return await forwardToLoop(source, clientRequest)
            }
            let error = error.beforeDispatch(of: "initialize")
            answer.noteFailure(error)
            if let refusal = publishedRefusal(error, to: source.head, hasID: true) {
                answer.finishWithRefusal(refusal, rawID: message.rawID)
            } else {
                answer.clientLeft()
            }
            return
        }
        if answer.hasLeft || !channel.isAgreed {
            // No client knows of it.
            loop.spawn { await channel.endChannel(.closed) }
            clientRequest.connection.answerFields = fields
        } else {
            addSession(name, of: caller, on: channel)
        }
        answer.finishWithMessage(channel.answer.text)
    }

    /// Bytes of a session's id, too many to be guessed.
    private static let idSize = 24

    private func addSession(_ name: [UInt8], of caller: Caller, on channel: ClientChannel) {
        let session = OlderSession(
            name, of: caller, on: channel,
            OlderSession.Terms(
                idleTimeout: sessions.idleTimeout, requestTimeout: settings.requestTimeout,
                maxKeptBytes: settings.streamBuffer),
            on: loop, log: log)
        known.addSession(session, affinity: affinity)
        affinity.setLoop(of: name, to: replicas.index)
        session.startHearing()
        // Another configuration was taken over while it was being opened.
        if var next = heir {
            while let further = next.heir { next = further }
            endSessions(unlessOf: next)
        }
    }

    // MARK: Answers

    private func describeRequest(_ source: HTTPServerRequest, _ clientRequest: ClientRequest) {
        clientRequest.describeRoute("session", source.head.method.name)
    }

    /// - Parameter hasID: whether a JSON-RPC request is answered.
    private func publishedRefusal(_ error: BackendError, to head: HTTPRequestHead, hasID: Bool) -> Refusal? {
        if error.kind == .sessionLost { return .sessionNotFound }
        return forwarder.rewriteChallenges(of: Refusal(error, hasID: hasID), to: head)
    }

    private func failRequest(
        _ error: BackendError, _ source: HTTPServerRequest, _ clientRequest: ClientRequest
    ) async {
        clientRequest.noteFailure(error)
        let id = await requestID(of: source)
        guard let refusal = publishedRefusal(error, to: source.head, hasID: id != nil) else {
            return clientRequest.finishRequest(.abandoned)
        }
        clientRequest.rawID = id.map { $0[...] }
        clientRequest.finishRequest(.refused(refusal))
    }

    private func refuseRequest(
        _ refusal: Refusal, _ source: HTTPServerRequest, _ clientRequest: ClientRequest
    ) async {
        clientRequest.rawID = await requestID(of: source).map { $0[...] }
        clientRequest.finishRequest(.refused(refusal))
    }

    /// The id of a request; nil for what is none.
    private func requestID(of source: HTTPServerRequest) async -> [UInt8]? {
        guard let message = await carriedMessages(of: source, isBatchable: false)?.first, case .request = message.kind
        else {
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
