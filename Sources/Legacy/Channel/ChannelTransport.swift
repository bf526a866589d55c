import JSONText
import MCP
import Reactor
import Translation

/// A transport on one channel: how it is made, and how messages are sent.
protocol ChannelTransport: Channel, SessionTransport {
    /// Makes the channel.
    func connectChannel(_ credentials: Credentials) async throws(BackendError)

    /// Sends a request.
    ///
    /// - Parameter failed: called if it turns out that no answer will come. Never called before this returns.
    func sendCall(
        _ text: SplicedText, for call: ChannelCall?, credentials: Credentials, trace: TraceContext?,
        failed: @escaping (BackendError) -> Void)

    /// Sends what a client of an older revision says, and returns when the server has it, as far as one can tell.
    func deliverMessage(_ text: [UInt8], credentials: Credentials) async throws(BackendError)
}

extension ChannelTransport {
    func beginCall(_ text: SplicedText, _ terms: LegacyCall.Terms, trace: TraceContext?) -> LegacyCall {
        let call = ChannelCall(terms, on: self)
        if beginCall(call) {
            sendCall(text, for: call, credentials: terms.credentials, trace: trace) { call.failCall(with: $0) }
        }
        return call
    }

    func openSession(_ introduction: Introduction, credentials: Credentials) async throws(BackendError) -> Handshake {
        do throws(BackendError) {
            try await connectUnlessAbandoned(credentials, unless: introduction.abandonment)
            let reader = HandshakeReader<Envelope>()
            let handshake = try await introduction.agreeOnRevision { () async throws(BackendError) in
                try await sendInitialize(
                    introduction.request, credentials: credentials, until: introduction.end, reader
                ) { (text) async throws(BackendError) -> Handshake? in
                    try await reader.findHandshake(among: readMessages(text), answering: introduction) {
                        (pong) async throws(BackendError) in try await sendNotification(pong, credentials: credentials)
                    }
                }
            }
            beginSession(handshake, reader.early)
            return handshake
        } catch {
            failCalls(error)
            throw error
        }
    }

    /// Makes the channel. `abandonment` ends it.
    func connectUnlessAbandoned(_ credentials: Credentials, unless abandonment: Abandonment) async throws(BackendError)
    {
        abandonment.onSet = { [weak self] in self?.failCalls(.clientLeft) }
        if let ending { throw ending }
        try await connectChannel(credentials)
    }

    /// Sends `initialize`, and reads what comes until the answer is there.
    ///
    /// - Parameters:
    ///   - end: when the channel ends if it is not.
    ///   - read: gives what the answer says, if it is in this text.
    func sendInitialize<Message: EarlyMessage, Answer>(
        _ request: [UInt8], credentials: Credentials, until end: Instant, _ reader: HandshakeReader<Message>,
        _ read: ([UInt8]) async throws(BackendError) -> Answer?
    ) async throws(BackendError) -> Answer {
        sendCall(SplicedText(request), for: nil, credentials: credentials, trace: nil) { [weak self] in
            self?.failCalls($0)
        }
        let patience = Deadline(on: loop)
        patience.onExpiry = { [weak self] in
            let hint = reader.flaw.map { "; something that it sent is \($0.words)" } ?? ""
            self?.failCalls(
                BackendError(.silent, "the server did not answer for \(Backend.Limits.handshakeName)\(hint)"))
        }
        patience.set(end)
        defer { patience.set(nil) }
        while let text = await nextMessage() { if let answer = try await read(text) { return answer } }
        throw ending ?? BackendError(.unavailable, "the session has ended")
    }
}
