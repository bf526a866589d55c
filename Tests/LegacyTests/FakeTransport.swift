import JSONText
import MCP
import Reactor
import Translation

@testable import Legacy

/// The transport of a session with a fake server: it keeps what it is given, and the test says what comes back.
final class FakeTransport: SessionTransport {
    /// How the server answers `ping` and lists by itself; nil where it says nothing.
    var sign: Sign? = .alive
    /// Whether notifications are taken; nil where that is never known.
    var takes: Bool? = true
    /// Whether the end of the session takes until ``finishEnd()``.
    var endsSlowly = false
    var isKept = true
    /// The server's name of the session.
    var name = Array("id".utf8)
    /// Whether it listens to what belongs to no request.
    private(set) var listens = false
    var isOver = false
    var isSequential = false
    let passedOver: PassedOver
    /// Calls so far, each with its text.
    private(set) var calls: [FakeCall] = []
    /// Notifications and responses so far.
    private(set) var notifications: [String] = []
    private(set) weak var session: LegacySession?
    private(set) var ends = 0
    private(set) var drops = 0
    private var hasEnded = false
    private let loop: Loop
    private let changed: Wakeup
    private let finished = Wakeup()

    enum Sign {
        case alive
        case lost
    }

    init(to server: FakeServer) {
        passedOver = PassedOver(of: server)
        loop = server.loop
        changed = server.changed
    }

    /// Whether nothing is left of the session.
    var hasGone: Bool { hasEnded || drops > 0 }

    /// The server says something that belongs to no call.
    func say(_ text: String) { session?.receiveText(Array(text.utf8)) }

    /// The server has lost the session, and the transport finds out.
    func lose() { session?.sessionLost() }

    /// The end that is under way is over.
    func finishEnd() {
        endsSlowly = false
        finished.signal()
    }

    // MARK: SessionTransport

    func openSession(_ introduction: Introduction, credentials: Credentials) async throws(BackendError) -> Handshake {
        throw BackendError(.unavailable, "a fake server has the handshake")
    }

    func beginCall(_ text: SplicedText, _ terms: LegacyCall.Terms, trace: TraceContext?) -> LegacyCall {
        let call = FakeCall(terms, text.slices.map { String(decoding: $0, as: UTF8.self) }.joined(), changed)
        calls.append(call)
        changed.signal()
        if call.isQuestion {
            switch sign {
            case .alive: call.respond()
            case .lost: call.failCall(with: .sessionGone)
            case nil: break
            }
        }
        return call
    }

    func sendNotification(_ text: [UInt8], credentials: Credentials) async throws(BackendError) {
        notifications.append(String(decoding: text, as: UTF8.self))
        changed.signal()
        while takes == nil, !hasGone { await finished.wait() }
        if takes == false { throw BackendError(.unavailable, "the server takes nothing") }
    }

    /// What was not taken so far is, or is not.
    func take(_ takes: Bool) {
        self.takes = takes
        finished.signal()
    }

    func listenForMessages(for session: LegacySession, credentials: Credentials) {
        self.session = session
        listens = true
    }

    func hasPushChannel() async -> Bool { true }

    var knowsPushChannel: Bool { true }

    var sessionID: [UInt8]? { name }

    var sharedTarget: [UInt8]? { isKept ? Array("/mcp".utf8) : nil }

    func stopListening() { listens = false }

    func endSession() async {
        ends += 1
        changed.signal()
        while endsSlowly { await finished.wait() }
        hasEnded = true
        finished.signal()
        changed.signal()
    }

    func dropSession() {
        drops += 1
        finished.signal()
        changed.signal()
    }

    func isGone() async { while !hasGone { await finished.wait() } }
}
