import JSONText
import MCP
import Reactor
import Translation

/// How the messages of one session get to its server and back.
///
/// It belongs to one session, which sends by it; what comes, it tells the session and its calls. It knows nothing of what
/// the messages mean, beyond what it needs to bring them to the right place.
protocol SessionTransport: AnyObject {
    /// Sends `initialize`, and once more for each revision that the server refuses.
    ///
    /// - Returns: what the server agreed to.
    func openSession(_ introduction: Introduction, credentials: Credentials) async throws(BackendError) -> Handshake

    /// Begins a request. Its answer is awaited by what is returned.
    ///
    /// - Parameters:
    ///   - text: with the id of `terms`.
    ///   - trace: of the client's request that it carries, if it carries one.
    func beginCall(
        _ text: consuming SplicedText, _ terms: consuming LegacyCall.Terms, trace: TraceContext?
    ) -> LegacyCall

    /// Sends a notification or a response, to which the server has nothing to say.
    func sendNotification(_ text: [UInt8], credentials: Credentials) async throws(BackendError)

    /// Begins to tell `session` what the server says that belongs to no request. It outlives that.
    func listenForMessages(for session: LegacySession, credentials: Credentials)

    /// Whether the server works on one request at a time, so that a call that was given up holds up all others.
    var isSequential: Bool { get }

    /// Whether anything reaches the server while a call is under way.
    var hearsDuringCalls: Bool { get }

    /// How often a stream was to be taken up again where it broke off: each time, what came before may come once more.
    var resumptions: Int { get }

    /// Whether the server can tell something on its own account.
    func hasPushChannel() async -> Bool

    /// Whether ``hasPushChannel()`` would answer at once.
    var knowsPushChannel: Bool { get }

    /// The server's name of the session; nil where it has none.
    var sessionID: [UInt8]? { get }

    /// For what the server sends that is passed over.
    var passedOver: PassedOver { get }

    /// Names and values of the session's cookies, as `Cookie` has them.
    var cookieField: [UInt8] { get }

    /// Path and query of the session's requests, where another process can send them too; nil where it cannot.
    var sharedTarget: [UInt8]? { get }

    /// Whether the server keeps a session, so that it knows what an answer is to.
    var isKept: Bool { get }

    /// Whether what carries the messages has ended, and the session with it.
    var isOver: Bool { get }

    /// Listens no longer to what belongs to no request.
    func stopListening()

    /// Ends the session on the server too. No call is in flight.
    func endSession() async

    /// Gives back what is held for a session that the server has lost.
    func dropSession()

    /// Returns when nothing is left of the session, after ``end()`` or ``dropSession()``.
    func isGone() async
}

extension SessionTransport {
    var cookieField: [UInt8] { [] }
    var sharedTarget: [UInt8]? { nil }
    var hearsDuringCalls: Bool { true }
    var resumptions: Int { 0 }
}
