import HTTPWire
import JSONText
import MCP
import Reactor
import Telemetry
import Translation

@testable import Legacy

/// A server of a test, at which each handshake ends as the test says.
final class FakeServer: LegacyServer, ReachableServer {
    /// How a handshake ends at once; nil where the test ends each by itself.
    var outcome: FakeOpening.Outcome? = .session
    /// Whether a handshake goes on though no call wants it any more, as one does whose answer is on its way.
    var isDeafToAbandonment = false
    /// What it says in its handshakes.
    var revision = Revision.newestLegacy
    var version = "1"
    /// What is done to the transport of each session before its handshake ends.
    var prepare: (FakeTransport) -> Void = { _ in }
    /// All handshakes so far.
    private(set) var openings: [FakeOpening] = []
    /// The transports of sessions that others have opened.
    private(set) var joined: [FakeTransport] = []
    /// The same of clients' own channels.
    private(set) var channels: [FakeChannel] = []
    /// Signalled when anything has happened at the server.
    let changed: Wakeup

    init(_ label: String, startsProcesses: Bool = false, on loop: Loop, log: Log, changed: Wakeup) {
        self.changed = changed
        super.init(
            name: Array(label.utf8), label: label, startsProcesses: startsProcesses, on: loop,
            limits: FakeServer.limits(), log: log)
    }

    static func limits(handshake: Duration = .seconds(30)) -> Backend.Limits {
        Backend.Limits(
            maxMessage: 1 << 20, streamBuffer: 1 << 16, head: HTTPLimits(), maxDepth: 64, silence: .seconds(60),
            handshake: handshake, connect: .seconds(1))
    }

    /// The transports of all handshakes that led to a session.
    var transports: [FakeTransport] { openings.compactMap(\.transport) }

    /// Sessions that the server has: their handshakes have succeeded, and it was told of no end.
    var sessionCount: Int { transports.count { !$0.hasGone } }

    /// Those and the handshakes under way, each of which is a process, or may become a session.
    var placeCount: Int { openings.count { $0.transport?.hasGone != true && !$0.hasFailed } }

    var isReached: Bool { true }

    func tryToReach() async {}

    fileprivate func handshake() throws(BackendError) -> Handshake {
        let text = #"""
            {"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"\#(revision.rawValue)","capabilities":{"tools":{}},\#
            "serverInfo":{"name":"fake","version":"\#(version)"}}}
            """#
        guard let document = try? JSONDocument(Array(text.utf8)),
            let result = document.value("result", of: document.root),
            let handshake = try? Handshake(result, in: document)
        else { throw BackendError(.unavailable, "the test's own handshake is none") }
        return handshake
    }
}

extension FakeServer: SessionOpener, ChannelOpener {
    func openTransport(
        _ introduction: Introduction, credentials: Credentials
    ) async throws(BackendError) -> (any SessionTransport, Handshake) {
        let opening = FakeOpening(changed)
        openings.append(opening)
        changed.signal()
        if !isDeafToAbandonment {
            introduction.abandonment.onSet = { opening.end(.failure(.clientLeft)) }
        }
        if let outcome { opening.end(outcome) }
        switch await opening.ending() {
        case .failure(let error): throw error
        case .session:
            let transport = FakeTransport(to: self)
            transport.name = Array("\(label)-\(openings.count)".utf8)
            prepare(transport)
            opening.transport = transport
            return (transport, try handshake())
        }
    }

    func joinTransport(_ session: SharedSession, credentials: Credentials) -> (any SessionTransport)? {
        let transport = FakeTransport(to: self)
        transport.name = session.id
        joined.append(transport)
        return transport
    }

    func openChannel(
        _ initialize: [UInt8], id: MessageID, credentials: Credentials, unless abandonment: Abandonment
    ) async throws(BackendError) -> (any ChannelTransport, ClientAgreement) {
        let transport = FakeChannel(to: self, changed: changed)
        channels.append(transport)
        changed.signal()
        return (
            transport,
            try await transport.openForClient(initialize, id: id, credentials: credentials, unless: abandonment)
        )
    }
}
