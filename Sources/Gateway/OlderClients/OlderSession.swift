import Crypto
import Legacy
import MCP
import Reactor
import Telemetry
import Translation

/// A session of a client of an older revision before a server that has none to give out: the client's own process, or its own
/// stream over HTTP+SSE. `Mcp-Session-Id` is Remora's.
final class OlderSession {
    /// Messages of the server that wait for a stream of the client: a client listens as soon as it is there.
    private static let maxKept = 256
    /// Errors and cancellations on their way to a server, which may ask without end and read nothing.
    private static let maxTelling = 64
    /// What a server has to answer a request that its client took back, as some do.
    private static let afterCancellation: Duration = .seconds(5)

    /// What holds for a session from its start to its end.
    struct Terms {
        /// How long it may be without a request and a stream.
        let idleTimeout: Duration
        /// How long an answer may be silent.
        let requestTimeout: Duration
        /// Bytes of messages that wait for a stream.
        let maxKeptBytes: Int
    }

    private enum Phase {
        case serving
        /// The configuration has its server no longer: it ends with its last request.
        case retired
        case over
    }

    let id: [UInt8]
    /// The caller that has it. For any other caller the session does not exist.
    let principal: KeyedHash
    private let channel: ClientChannel
    private let terms: Terms
    private let loop: Loop
    private let log: Log
    private let opened: Instant
    private var routing: OlderRouting
    private var answers: [OlderRouting.Stream: OlderResponse] = [:]
    /// The client's last.
    private var credentials: Credentials
    private var telling = 0
    private let idle: Deadline
    private var phase = Phase.serving
    /// Where clients find it.
    var registry: OlderSessions?

    init(
        _ id: [UInt8], of caller: Caller, on channel: ClientChannel, _ terms: Terms, on loop: Loop, log: Log
    ) {
        self.id = id
        principal = caller.principal
        credentials = caller.credentials
        self.channel = channel
        self.terms = terms
        self.loop = loop
        self.log = log
        opened = loop.now
        routing = OlderRouting(maxKept: OlderSession.maxKept, maxKeptBytes: terms.maxKeptBytes)
        idle = Deadline(on: loop)
        // The session has the deadline, which ends with it.
        idle.onExpiry = { [unowned self] in endSession(.expired) }
    }

    /// The server that has it.
    var server: LegacyServer { channel.server }

    /// Begins to hear the server.
    func startHearing() {
        log.write(.info, "client_session_opened") { line in
            line.field("principal", principal.short)
            line.field("revision", channel.revisionName)
        }
        startIdleTime()
        for message in channel.early { carryOut(routing.routeMessage(message)) }
        loop.spawn {
            while let message = await self.channel.nextMessage() {
                for answer in self.carryOut(self.routing.routeMessage(message)) { await answer.waitForClient() }
            }
            self.endSession(.lost)
        }
    }

    // MARK: What the client sends

    /// Whether messages may come in arrays.
    var hasBatches: Bool { channel.hasBatches }

    /// Sends notifications and responses, and returns when the server has them.
    func deliverMessages(
        _ body: [UInt8], _ messages: [CarriedMessage], _ credentials: Credentials
    ) async throws(BackendError) {
        self.credentials = credentials
        startIdleTime()
        try await channel.sendMessage(body, credentials: credentials)
        for message in messages {
            // Many servers do not answer any more.
            if let stream = message.cancelled.flatMap({ routing.onlyStream(ofOnly: $0) }), let answer = answers[stream]
            {
                // The answer ends with the session, which takes both out of it.
                answer.onExpiry = { [unowned self] in failStream(stream, .cancelledRequest) }
                answer.expireWhenIdle(after: OlderSession.afterCancellation)
            }
        }
    }

    /// Begins to answer requests, and sends them with what else the POST has. Returns nil where one of them has the id of a
    /// request that is being answered.
    ///
    /// - Parameter published: an error as the client is to see it.
    func beginResponse(
        _ body: [UInt8], _ requests: [OlderRouting.Request], _ credentials: Credentials,
        published: @escaping (BackendError) -> Refusal?, by makeAnswer: () -> OlderResponse
    ) -> OlderResponse? {
        guard let (stream, steps) = routing.openResponse(requests) else { return nil }
        self.credentials = credentials
        let answer = makeAnswer()
        answers[stream] = answer
        idle.set(nil)
        // The answer ends with the session, which takes both out of it.
        answer.onLeave = { [unowned self] in leaveStream(stream) }
        answer.onExpiry = { [unowned self] in
            let overdue = BackendError(.overdue, "the server was silent for limits.request_timeout")
            for request in failStream(stream, published(overdue)) {
                sendOwnMessage(ServerRequest.cancelNotification(rawID: request.rawID, reason: overdue.detail))
            }
        }
        answer.expireWhenIdle(after: terms.requestTimeout)
        // The client may have left before its request was looked at.
        if answer.isOver { leaveStream(stream) }
        carryOut(steps)
        loop.spawn {
            do throws(BackendError) {
                try await self.channel.sendMessage(body, credentials: credentials)
            } catch {
                self.failStream(stream, published(error))
            }
        }
        return answer
    }

    /// Serves a stream on which the client listens, until it ends.
    func serveListening(_ answer: OlderResponse) async {
        let (stream, steps) = routing.openListening()
        answers[stream] = answer
        idle.set(nil)
        // The answer ends with the session, which takes this out of it.
        answer.onLeave = { [unowned self] in leaveStream(stream) }
        if answer.isOver { return leaveStream(stream) }
        answer.beginStream()
        carryOut(steps)
        await answer.waitForEnd()
    }

    // MARK: What the server sends

    /// - Returns: the answers that were sent something.
    @discardableResult
    private func carryOut(_ steps: [OlderRouting.Step]) -> [OlderResponse] {
        var sent: [OlderResponse] = []
        for step in steps {
            switch step {
            case .send(let text, let stream):
                guard let answer = answers[stream] else { continue }
                answer.sendMessage(text)
                answer.renewDeadline()
                sent.append(answer)
            case .finish(let text, let stream):
                answers.removeValue(forKey: stream)?.finishWithMessage(text)
                startIdleTime()
            case .end(let stream):
                answers.removeValue(forKey: stream)?.endStream()
            case .refuse(let rawID):
                refuseQuestion(rawID)
            }
        }
        return sent
    }

    private func refuseQuestion(_ rawID: [UInt8]) { sendOwnMessage(Refusal.nobodyListens.errorText(id: rawID[...])) }

    /// Sends what is Remora's own to say. A server that has not taken enough of it is told no more.
    private func sendOwnMessage(_ text: [UInt8]) {
        guard telling < OlderSession.maxTelling else { return }
        telling += 1
        loop.spawn {
            try? await self.channel.sendMessage(text, credentials: self.credentials)
            self.telling -= 1
        }
    }

    /// The client has left a stream, which takes nothing back that was sent (2025-11-25, basic/transports, "Sending Messages to
    /// the Server"): the responses are dropped.
    private func leaveStream(_ stream: OlderRouting.Stream) {
        answers[stream] = nil
        routing.closeStream(stream)
        startIdleTime()
    }

    /// Ends the answer to a POST: each of its requests that has no response has failed.
    ///
    /// - Returns: those requests.
    @discardableResult
    private func failStream(_ stream: OlderRouting.Stream, _ refusal: Refusal?) -> [OlderRouting.Request] {
        let requests = routing.closeStream(stream)
        guard let answer = answers.removeValue(forKey: stream) else { return requests }
        startIdleTime()
        guard let refusal, let last = requests.last else {
            answer.endStream()
            return requests
        }
        for request in requests.dropLast() { answer.sendMessage(refusal.errorText(id: request.rawID[...])) }
        answer.finishWithRefusal(refusal, rawID: last.rawID)
        return requests
    }

    // MARK: The end

    /// Without a stream of its client, the session waits for it only so long.
    private func startIdleTime() {
        if phase == .over { return }
        if phase == .retired, !routing.isAnswering { return endSession(.reconfigured) }
        if routing.isQuiet { idle.set(after: terms.idleTimeout) }
    }

    /// Ends the session when no request is being answered in it.
    func retireSession() {
        if phase == .serving { phase = .retired }
        startIdleTime()
    }

    /// Ends the session, and all answers that are being made.
    func endSession(_ end: ClientChannel.End) {
        if phase == .over { return }
        phase = .over
        idle.set(nil)
        registry?.sessionEnded(self)
        let detail = channel.ending?.detail
        let error = BackendError(.noAnswer, detail ?? "the session has ended")
        for (stream, answer) in answers {
            if routing.isPost(stream) { answer.noteFailure(error) }
            failStream(stream, Refusal(error))
        }
        let isLoss = end == .lost || end == .reconfigured
        log.write(isLoss ? .warning : .info, "client_session_ended") { line in
            line.field("principal", principal.short)
            line.field("reason", end.name)
            if end == .lost, let detail { line.field("detail", detail) }
            line.field("ms", milliseconds: loop.now - opened)
        }
        loop.spawn {
            await self.channel.endChannel(end)
            self.registry?.sessionIsGone()
        }
    }
}

extension ClientChannel.End {
    fileprivate var name: StaticString {
        switch self {
        case .closed: "closed"
        case .lost: "lost"
        case .expired: "idle"
        case .reconfigured: "configuration"
        }
    }
}
