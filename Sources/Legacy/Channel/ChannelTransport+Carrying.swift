import JSONText
import MCP
import Reactor
import Translation

/// The channel as a way for a client that speaks the server's own revision: what either says goes through as it is.
extension ChannelTransport {
    /// Makes the channel, and sends the client's `initialize`. A `ping` before the answer is answered here: the client has
    /// no session yet.
    ///
    /// - Parameter abandonment: ends the channel.
    /// - Returns: the answer, which may be an error, and what else was said before it.
    final func carry(
        _ initialize: [UInt8], id: MessageID, credentials: Credentials, unless abandonment: Abandonment
    ) async throws(BackendError) -> (answer: CarriedMessage, early: [CarriedMessage]) {
        var isConnected = false
        do throws(BackendError) {
            beginCarrying()
            try await connect(credentials, unless: abandonment)
            isConnected = true
            send(SplicedText(initialize), for: nil, credentials: credentials, trace: nil) { [weak self] in
                self?.finish($0)
            }
            let patience = Deadline(on: loop)
            patience.onExpiry = { [weak self] in
                self?.finish(BackendError(.silent, "the server did not answer for \(Backend.Limits.handshakeName)"))
            }
            patience.set(after: limits.handshake)
            defer { patience.set(nil) }
            var early: [CarriedMessage] = []
            while let message = await nextCarried(isBatchable: false) {
                if case .response(let answered) = message.kind, answered == id || answered == id.misspelled {
                    return (message, early)
                }
                if message.isPing, let rawID = message.rawID {
                    try await notify(ServerRequest.emptyResult(id: rawID[...]), credentials: credentials)
                } else if early.count < LegacySession.maxEarlyQuestions {
                    early.append(message)
                }
            }
            throw ending ?? BackendError(.unavailable, "the session has ended")
        } catch {
            finish(error)
            // That the server has no such channel decides what is tried next.
            throw !isConnected && error.isNoEventStream ? error : error.beforeDispatch(of: "initialize")
        }
    }

    /// The next message of the server; nil when the channel is over. What is no message is passed over.
    final func nextCarried(isBatchable: Bool) async -> CarriedMessage? {
        while true {
            if let message = takeUnread() { return message }
            guard let text = await next() else { return nil }
            guard let document = try? JSONDocument(text, maxDepth: limits.maxDepth) else {
                passOver(text, because: .noJSON)
                continue
            }
            guard let messages = CarriedMessage.all(in: document, isBatchable: isBatchable) else {
                passOver(text, because: .noMessage)
                continue
            }
            keepUnread(messages)
        }
    }
}
