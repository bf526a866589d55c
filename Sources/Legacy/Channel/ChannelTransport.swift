import JSONText
import MCP
import Reactor
import Translation

/// A transport on one channel: how it is made, and how messages are sent.
protocol ChannelTransport: Channel, SessionTransport {
    /// Makes the channel.
    func connect(_ credentials: Credentials) async throws(BackendError)

    /// Sends a request.
    ///
    /// - Parameter failed: called if it turns out that no answer will come. Never called before this returns.
    func send(
        _ text: SplicedText, for call: ChannelCall?, credentials: Credentials, trace: TraceContext?,
        failed: @escaping (BackendError) -> Void)

    /// Sends what a client of an older revision says, and returns when the server has it, as far as one can tell.
    func deliver(_ text: [UInt8], credentials: Credentials) async throws(BackendError)
}

extension ChannelTransport {
    func call(_ text: SplicedText, _ terms: LegacyCall.Terms, trace: TraceContext?) -> LegacyCall {
        let call = ChannelCall(terms, on: self)
        if begin(call) {
            send(text, for: call, credentials: terms.credentials, trace: trace) { call.fail(with: $0) }
        }
        return call
    }

    func open(_ introduction: Introduction, credentials: Credentials) async throws(BackendError) -> Handshake {
        do throws(BackendError) {
            try await connect(credentials, unless: introduction.abandonment)
            let reader = HandshakeReader<Envelope>()
            let handshake = try await introduction.agree { () async throws(BackendError) in
                try await initialize(
                    introduction.request, credentials: credentials, until: introduction.end, reader
                ) { (text) async throws(BackendError) -> Handshake? in
                    try await reader.handshake(among: read(text), answering: introduction) {
                        (pong) async throws(BackendError) in try await notify(pong, credentials: credentials)
                    }
                }
            }
            begin(handshake, reader.early)
            return handshake
        } catch {
            finish(error)
            throw error
        }
    }

    /// Makes the channel, which ends when nobody wants it any more.
    func connect(_ credentials: Credentials, unless abandonment: Abandonment) async throws(BackendError) {
        abandonment.onSet = { [weak self] in self?.finish(.clientLeft) }
        if let ending { throw ending }
        try await connect(credentials)
    }

    /// Sends `initialize`, and reads what comes until the answer is there.
    ///
    /// - Parameters:
    ///   - end: when the channel ends if it is not.
    ///   - read: gives what the answer says, if it is in this text.
    func initialize<Message: EarlyMessage, Answer>(
        _ request: [UInt8], credentials: Credentials, until end: Instant, _ reader: HandshakeReader<Message>,
        _ read: ([UInt8]) async throws(BackendError) -> Answer?
    ) async throws(BackendError) -> Answer {
        send(SplicedText(request), for: nil, credentials: credentials, trace: nil) { [weak self] in self?.finish($0) }
        let patience = Deadline(on: loop)
        patience.onExpiry = { [weak self] in
            let hint = reader.flaw.map { "; something that it sent is \($0.words)" } ?? ""
            self?.finish(BackendError(.silent, "the server did not answer for \(Backend.Limits.handshakeName)\(hint)"))
        }
        patience.set(end)
        defer { patience.set(nil) }
        while let text = await next() { if let answer = try await read(text) { return answer } }
        throw ending ?? BackendError(.unavailable, "the session has ended")
    }
}
