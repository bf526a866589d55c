import MCP
import Reactor
import Translation

/// A session of a client of an older revision: a process or a stream of its own, on which its messages and those of the server
/// go through as they are. It has a place in the pool until it is gone.
package final class ClientChannel {
    /// The server that has it.
    package let server: LegacyServer
    private let transport: any ChannelTransport
    private let agreement: ClientAgreement
    /// What its caller may have under way toward the servers.
    private let sending: SendingBudget.Share
    /// Messages that the server has not taken, and their bytes.
    private var underWay = 0
    private var bytesUnderWay = 0
    /// Of one session. A client that is served waits for most of its messages.
    private static let maxUnderWay = 64
    /// Gives back the place in the pool.
    private let leave: (_ end: End) -> Void
    private var isEnded = false

    /// How a session of a client ends.
    package enum End: Sendable {
        /// Its client ended it, or Remora stops.
        case closed
        /// The server ended it.
        case lost
        /// Its client was away for too long.
        case expired
        /// The configuration has its server no longer, or in another way.
        case reconfigured
    }

    init(
        to server: LegacyServer, over transport: any ChannelTransport, _ agreement: ClientAgreement,
        sending: SendingBudget.Share, leave: @escaping (_ end: End) -> Void
    ) {
        self.server = server
        self.sending = sending
        self.transport = transport
        self.leave = leave
        self.agreement = agreement
    }

    /// The server's answer to `initialize`: a result, or an error, after which there is no session.
    package var answer: CarriedMessage { agreement.answer }

    /// Whether the answer is a result.
    package var isAgreed: Bool { agreement.isAgreed }

    /// What the server said before that.
    package var early: [CarriedMessage] { agreement.early }

    /// Whether messages may come in arrays: in 2025-03-26 alone.
    package var hasBatches: Bool { agreement.revision == .v2025_03_26 }

    /// The agreed revision, for the log.
    package var revisionName: StaticString { agreement.revision?.name ?? "unknown" }

    /// The next message of the server; nil when the channel is over. What is no message is passed over.
    package func nextMessage() async -> CarriedMessage? { await transport.nextCarried(isBatchable: hasBatches) }

    /// Sends a message, or a batch, and returns when the server has it, as far as one can tell. Where many sessions of its caller
    /// send at once, it waits for its turn.
    ///
    /// - Throws: ``BackendError/Kind/busy`` where the server has not taken those before it, and there is no room for more.
    package func sendMessage(_ text: [UInt8], credentials: Credentials) async throws(BackendError) {
        let hasRoom = underWay == 0 || bytesUnderWay + text.count <= transport.limits.streamBuffer
        guard underWay < ClientChannel.maxUnderWay, hasRoom else { throw LegacySession.takesNothing }
        underWay += 1
        bytesUnderWay += text.count
        defer {
            underWay -= 1
            bytesUnderWay -= text.count
        }
        let (loop, silence) = (transport.loop, transport.limits.silence)
        guard await sending.waitForRoom(until: loop.now + silence, on: loop) else { throw LegacySession.takesNothing }
        defer { sending.releaseRoom() }
        try await transport.deliverMessage(text, credentials: credentials)
    }

    /// Why the channel is over; nil while it is open.
    package var ending: BackendError? { transport.ending }

    /// Ends the process or the stream, and returns when nothing is left of it. Once; again it is harmless.
    package func endChannel(_ end: End) async {
        if isEnded { return }
        isEnded = true
        await transport.endSession()
        leave(end)
    }
}
