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
    func openForClient(
        _ initialize: [UInt8], id: MessageID, credentials: Credentials, unless abandonment: Abandonment
    ) async throws(BackendError) -> ClientAgreement {
        var isConnected = false
        do throws(BackendError) {
            beginCarrying()
            try await connectUnlessAbandoned(credentials, unless: abandonment)
            isConnected = true
            let reader = HandshakeReader<CarriedMessage>()
            var agreement = try await self.sendInitialize(
                initialize, credentials: credentials, until: loop.now + limits.handshake, reader
            ) { (text) async throws(BackendError) -> ClientAgreement? in
                guard let (document, messages) = carriedMessages(text, isBatchable: false) else { return nil }
                return try await reader.findResponse(
                    among: messages, recognize: { ClientAgreement($0, to: id, in: document) }
                ) { (pong) async throws(BackendError) in try await sendNotification(pong, credentials: credentials) }
            }
            agreement.early = reader.early
            if let revision = agreement.revision { revisionAgreed(on: revision) }
            return agreement
        } catch {
            failCalls(error)
            // Whether the server has this kind of channel decides what is tried next.
            throw !isConnected && error.isNoEventStream ? error : error.beforeDispatch(of: "initialize")
        }
    }

}

extension Channel {
    /// The next message of the server; nil when the channel is over. What is no message is passed over.
    func nextCarried(isBatchable: Bool) async -> CarriedMessage? {
        while true {
            if let message = takeUnread() { return message }
            guard let text = await nextMessage() else { return nil }
            if let (_, messages) = carriedMessages(text, isBatchable: isBatchable) { keepUnread(messages) }
        }
    }

    /// The messages of a text; nil where it is none, which is noted.
    fileprivate func carriedMessages(_ text: [UInt8], isBatchable: Bool) -> (JSONDocument, [CarriedMessage])? {
        guard let document = try? JSONDocument(text, maxDepth: limits.maxDepth) else {
            passOver(text, because: .noJSON)
            return nil
        }
        guard let messages = CarriedMessage.readMessages(in: document, isBatchable: isBatchable) else {
            passOver(text, because: .noMessage)
            return nil
        }
        return (document, messages)
    }
}

extension CarriedMessage: EarlyMessage {
    var pong: [UInt8]? { isPing ? rawID.map { ServerRequest.emptyResult(id: $0[...]) } : nil }

    /// The client hears all that the server says.
    var isForSession: Bool { true }
}
