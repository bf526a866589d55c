package import HTTPTransport
package import HTTPWire
import MCP
package import Reactor
package import Telemetry
import Translation

/// A legacy server that is reached over HTTP, or one of its copies.
package final class Backend: LegacyServer, ReachableServer {
    private let sharedRequestIDs = RequestIDs()
    package struct Limits: Sendable {
        /// Bytes of one message, as a JSON body or as one event.
        package var maxMessage: Int
        /// Bytes of messages that wait for a client to take those before them; beyond them the server has to wait.
        package var streamBuffer: Int
        /// The head of an answer.
        package var head: HTTPLimits
        /// Nesting of a message.
        package var maxDepth: Int
        /// How long the server may be silent while an answer is due.
        package var silence: Duration
        /// How long it may take to answer `initialize`, and to take what it has no work with.
        package var handshake: Duration
        package var connect: Duration

        /// What limits a handshake, for errors.
        package static let handshakeName = "limits.handshake_timeout, or limits.backend_idle_timeout where that is less"

        package init(
            maxMessage: Int, streamBuffer: Int, head: HTTPLimits, maxDepth: Int, silence: Duration,
            handshake: Duration? = nil, connect: Duration
        ) {
            self.handshake = min(handshake ?? silence, silence)
            self.maxMessage = maxMessage
            self.streamBuffer = streamBuffer
            self.head = head
            self.maxDepth = maxDepth
            self.silence = silence
            self.connect = connect
        }
    }

    /// Over HTTP there are two ways to have a session.
    package enum Transport: Sendable {
        /// Streamable HTTP (2025-03-26 and later).
        case http
        /// HTTP with server-sent events (2024-11-05).
        case sse
    }

    /// ``Limits/silence``.
    private(set) var silence: Interval
    /// Path and query of the MCP endpoint.
    package let target: [UInt8]
    /// The value of `Host`: the server's own name, as servers that guard against DNS rebinding demand.
    package let host: [UInt8]
    /// What every request to the server has in its head. Values may be secrets.
    package let fields: [(name: [UInt8], value: [UInt8])]
    /// Whether TLS is spoken there.
    package let isSecure: Bool
    package let connections: HTTPConnectionPool
    /// Whether each session has a connection to itself: what stands before the server finds the session by it.
    package let pinsConnections: Bool
    /// Which way it is to be; nil to find out.
    let fixedTransport: Transport?
    /// Whether it was found to have only the older way.
    var isOfOldTransport = false

    /// - Parameters:
    ///   - label: see ``label``.
    ///   - tls: nil for plain HTTP.
    ///   - hostField: the value of `Host`.
    ///   - target: path and query.
    ///   - fields: see ``fields``; names and values as HTTP has them.
    ///   - transport: nil to find out.
    ///   - pinsConnections: with Streamable HTTP only.
    package init(
        at endpoint: Endpoint, label: String, tls: ServerTLS? = nil, hostField: String, target: String,
        fields: [(name: [UInt8], value: [UInt8])] = [], transport: Transport? = nil, pinsConnections: Bool = false,
        on loop: Loop, limits: Limits, log: Log
    ) {
        silence = Interval(limits.silence)
        self.host = Array(hostField.utf8)
        self.fields = fields
        isSecure = tls != nil
        self.target = Array(target.utf8)
        fixedTransport = pinsConnections ? .http : transport
        self.pinsConnections = pinsConnections
        connections = HTTPConnectionPool(
            to: endpoint, tls: tls, on: loop, connectTimeout: limits.connect, limits: limits.head)
        super.init(name: Array("\(endpoint) \(target)".utf8), label: label, on: loop, limits: limits, log: log)
    }

    /// Its sessions share connections.
    override var requestIDs: RequestIDs { sharedRequestIDs }

    private var lastRouteNumber = 0

    /// See ``SessionRoute/number``.
    func nextRouteNumber() -> Int {
        lastRouteNumber &+= 1
        return lastRouteNumber
    }

    // MARK: Clients of older revisions

    /// Whether each session is a stream of its own, over HTTP+SSE; nil where that has to be found out.
    package var isOverEventStreams: Bool? {
        switch fixedTransport {
        case .http: false
        case .sse: true
        case nil: isOfOldTransport ? true : nil
        }
    }

    // MARK: Connections

    /// A new connection to the server.
    package func connectServer() async throws(HTTPClientError) -> HTTPClientConnection {
        do throws(HTTPClientError) {
            let connection = try await connections.connect()
            attemptEnded(nil)
            return connection
        } catch {
            attemptEnded(BackendError(error).detail)
            throw error
        }
    }

    /// ``use(_:label:)``, with the files that the other configuration has read anew.
    package func applyLimits(_ limits: Limits, label: String, tls: ServerTLS?) {
        applyLimits(limits, label: label)
        silence = Interval(limits.silence)
        connections.useTLS(tls, connectTimeout: limits.connect, limits: limits.head)
    }

    var isReached: Bool { connections.hasLiveIdle }

    /// By a connection without a request, which is kept for the next.
    func tryToReach() async {
        if let connection = try? await connectServer() { connections.putBack(connection) }
    }

    override package var connectionCounts: ConnectionCounts {
        var counts = super.connectionCounts
        counts.idle = connections.idleCount
        return counts
    }

    override package func closeIdle() { connections.closeIdle() }
}
