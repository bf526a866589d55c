import JSONText
import MCP
import Reactor
import Translation

@testable import Legacy

/// A channel to a fake server: it keeps what is sent, and the test says what comes.
final class FakeChannel: Channel, ChannelTransport {
    /// Whether the channel is made when it is asked for; nil where the test says when.
    var isMade: Bool? = true
    private(set) var sent: [String] = []
    private(set) var isPaused = false
    private(set) var isTornDown = false
    private let changed: Wakeup
    private let made = Wakeup()

    init(to server: LegacyServer, changed: Wakeup) {
        self.changed = changed
        super.init(to: server)
    }

    /// The server says something.
    func say(_ text: String) { receivedMessage(Array(text.utf8)) }

    func connectChannel(_ credentials: Credentials) async throws(BackendError) {
        while isMade == nil, ending == nil { await made.wait() }
        if let ending { throw ending }
        if isMade == false { throw BackendError(.unavailable, "no channel") }
    }

    func sendCall(
        _ text: SplicedText, for call: ChannelCall?, credentials: Credentials, trace: TraceContext?,
        failed: @escaping (BackendError) -> Void
    ) {
        keep(text.slices.map { String(decoding: $0, as: UTF8.self) }.joined())
    }

    func sendNotification(_ text: [UInt8], credentials: Credentials) async throws(BackendError) {
        if let ending { throw ending }
        keep(String(decoding: text, as: UTF8.self))
    }

    func deliverMessage(_ text: [UInt8], credentials: Credentials) async throws(BackendError) {
        try await sendNotification(text, credentials: credentials)
    }

    private func keep(_ text: String) {
        sent.append(text)
        changed.signal()
    }

    override func pauseReading() { isPaused = true }

    override func resumeReading() { isPaused = false }

    override func tearDown() {
        isTornDown = true
        made.signal()
        changed.signal()
    }

    func isGone() async {}
}
