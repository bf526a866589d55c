package import HTTPTransport
package import HTTPWire
import MCP
package import Reactor
import Translation

/// A legacy server that is reached over HTTP, or one of its copies.
package final class Backend: LegacyServer {
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
        package var connect: Duration

        package init(
            maxMessage: Int, streamBuffer: Int, head: HTTPLimits, maxDepth: Int, silence: Duration, connect: Duration
        ) {
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
    let silence: Interval
    /// Path and query of the MCP endpoint.
    package let target: [UInt8]
    /// The value of `Host`: the server's own name, as servers that guard against DNS rebinding demand.
    package let host: [UInt8]
    /// Whether TLS is spoken there.
    package let isSecure: Bool
    package let connections: HTTPConnectionPool
    /// Whether each session has a connection to itself: what stands before the server finds the session by it.
    package let pinsConnections: Bool
    /// Which way it is to be; nil to find out.
    private let fixedTransport: Transport?
    /// Whether it was found to have only the older way.
    private var isOfOldTransport = false

    /// - Parameters:
    ///   - label: see ``label``.
    ///   - tls: nil for plain HTTP.
    ///   - hostField: the value of `Host`.
    ///   - target: path and query.
    ///   - transport: nil to find out.
    ///   - pinsConnections: with Streamable HTTP only.
    package init(
        at endpoint: Endpoint, label: String, tls: ServerTLS? = nil, hostField: String, target: String,
        transport: Transport? = nil, pinsConnections: Bool = false, on loop: Loop, limits: Limits
    ) {
        silence = Interval(limits.silence)
        self.host = Array(hostField.utf8)
        isSecure = tls != nil
        self.target = Array(target.utf8)
        fixedTransport = pinsConnections ? .http : transport
        self.pinsConnections = pinsConnections
        connections = HTTPConnectionPool(
            to: endpoint, tls: tls, on: loop, connectTimeout: limits.connect, limits: limits.head)
        super.init(name: Array("\(endpoint) \(target)".utf8), label: label, on: loop, limits: limits)
    }

    /// Its sessions share connections.
    override var requestIDs: RequestIDs { sharedRequestIDs }

    // MARK: Sessions

    /// Tries the newer way first, as clients should that know only a URL (2025-11-25, basic/transports, "Backwards
    /// Compatibility"), and remembers which it was.
    override func open(
        _ request: [UInt8], id: Int, credentials: Credentials
    ) async throws(BackendError) -> (any SessionTransport, Handshake) {
        switch fixedTransport {
        case .http: return try await openStreamableHTTP(request, id, credentials)
        case .sse: return try await openEventStream(request, id, credentials)
        case nil: return try await openEither(request, id, credentials)
        }
    }

    private func openEither(
        _ request: [UInt8], _ id: Int, _ credentials: Credentials
    ) async throws(BackendError) -> (any SessionTransport, Handshake) {
        if isOfOldTransport {
            do throws(BackendError) {
                return try await openEventStream(request, id, credentials)
            } catch {
                guard EventStreamTransport.isNotOffered(error) else { throw error }
                // Replaced by a newer one, perhaps.
                isOfOldTransport = false
            }
        }
        do throws(BackendError) {
            return try await openStreamableHTTP(request, id, credentials)
        } catch {
            guard case .rejected(let status) = error.kind, [400, 404, 405].contains(status) else { throw error }
            return try await openEventStream(request, id, credentials, after: error)
        }
    }

    /// - Parameter refusal: that of the newer way, which is what counts if there is no older one.
    private func openEventStream(
        _ request: [UInt8], _ id: Int, _ credentials: Credentials, after refusal: BackendError
    ) async throws(BackendError) -> (any SessionTransport, Handshake) {
        do throws(BackendError) {
            let opened = try await openEventStream(request, id, credentials)
            isOfOldTransport = true
            return opened
        } catch {
            throw EventStreamTransport.isNotOffered(error) ? refusal : error
        }
    }

    private func openStreamableHTTP(
        _ request: [UInt8], _ id: Int, _ credentials: Credentials
    ) async throws(BackendError) -> (any SessionTransport, Handshake) {
        let transport = StreamableHTTP(to: self, credentials: credentials)
        return (transport, try await transport.open(request, id: id, credentials: credentials))
    }

    private func openEventStream(
        _ request: [UInt8], _ id: Int, _ credentials: Credentials
    ) async throws(BackendError) -> (any SessionTransport, Handshake) {
        let transport = EventStreamTransport(to: self)
        return (transport, try await transport.open(request, id: id, credentials: credentials))
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

    override func openChannel(
        _ initialize: [UInt8], id: MessageID, credentials: Credentials
    ) async throws(BackendError) -> (transport: ChannelTransport, answer: CarriedMessage, early: [CarriedMessage]) {
        let transport = EventStreamTransport(to: self)
        do throws(BackendError) {
            let (answer, early) = try await transport.carry(initialize, id: id, credentials: credentials)
            isOfOldTransport = true
            return (transport, answer, early)
        } catch {
            if EventStreamTransport.isNotOffered(error) { isOfOldTransport = false }
            throw error
        }
    }

    // MARK: Connections

    /// A new connection to the server.
    package func connect() async throws(HTTPClientError) -> HTTPClientConnection {
        do throws(HTTPClientError) {
            let connection = try await connections.connect()
            attempted(true)
            return connection
        } catch {
            attempted(false)
            throw error
        }
    }

    override var isReached: Bool { connections.hasLiveIdle }

    /// By a connection without a request, which is kept for the next.
    override func tryToReach() async {
        if let connection = try? await connect() { connections.putBack(connection) }
    }

    override package var connectionCounts: ConnectionCounts {
        var counts = super.connectionCounts
        counts.idle = connections.idleCount
        return counts
    }

    override package func closeIdle() { connections.closeIdle() }
}
