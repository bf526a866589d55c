package import HTTPWire
internal import Glibc
package import Reactor

/// Idle connections to one server. The one used last is used next, so that a load that falls lets the others go.
package final class HTTPConnectionPool {
    /// How long an idle connection is kept. Common servers (uvicorn, Node) close theirs after 5 s; a request that crosses the
    /// close on the wire may or may not have run, so Remora gives up first.
    static let idleLifetime: Duration = .seconds(3)
    /// After this long without use a connection is looked at before it is used: no server gives up one that it served
    /// just now, and the look is a system call.
    private let rest = Interval(.milliseconds(50))
    /// Idle connections kept. More than this many at once are closed as they come back.
    private static let maxIdle = 512

    private let resolver: Resolver
    private var tls: TLSClient?
    private let loop: Loop
    private var connectTimeout: Duration
    private var limits: HTTPLimits
    private var idle: [HTTPClientConnection] = []
    private let sweep: Deadline

    /// - Parameter tls: how it is spoken to; nil for plain HTTP.
    package init(
        to endpoint: Endpoint, tls: ServerTLS? = nil, on loop: Loop, connectTimeout: Duration,
        limits: HTTPLimits = HTTPLimits()
    ) {
        resolver = endpoint.makeResolver(on: loop)
        self.tls = tls.map { TLSClient($0) }
        self.loop = loop
        self.connectTimeout = connectTimeout
        self.limits = limits
        sweep = Deadline(on: loop)
        sweep.onExpiry = { [unowned self] in closeStale() }
    }

    /// Connections that are made from now on are made so.
    package func useTLS(_ tls: ServerTLS?, connectTimeout: Duration, limits: HTTPLimits) {
        self.tls = tls.map { TLSClient($0) }
        self.connectTimeout = connectTimeout
        self.limits = limits
    }

    /// How many connections are idle.
    package var idleCount: Int { idle.count }

    /// Whether there is an idle connection that the server has not closed. It is looked at and not used: it grows old as
    /// it would.
    package var hasLiveIdle: Bool { idle.last?.isQuiet == true }

    /// An idle connection that is ready for a request, if there is one.
    package func takeIdle() -> HTTPClientConnection? {
        while let connection = idle.popLast() {
            let isUsable = connection.idleSince + rest > loop.now ? connection.isReusable : connection.isQuiet
            if isUsable { return connection }
            connection.closeConnection()
        }
        return nil
    }

    /// A new connection, to the first address that takes it. The time to connect is that for all of it: to look the name up,
    /// and to try each address for its share of the rest.
    package func connect() async throws(HTTPClientError) -> HTTPClientConnection {
        let end = loop.now + connectTimeout
        let addresses: [SocketAddress]
        do throws(SystemError) {
            addresses = try await resolver.resolveName(until: end)
        } catch {
            throw .notConnected(error)
        }
        var failure: HTTPClientError?
        for (index, address) in addresses.enumerated() {
            do throws(HTTPClientError) {
                return try await connect(to: address, within: (end - loop.now) / (addresses.count - index))
            } catch {
                // That a server was not trusted says more than that another address has none.
                if case .notConnected(let why) = failure, why.isRefusal { continue }
                failure = error
            }
        }
        throw failure ?? .notConnected(SystemError("connect", code: EHOSTUNREACH))
    }

    private func connect(
        to address: SocketAddress, within time: Duration
    ) async throws(HTTPClientError) -> HTTPClientConnection {
        try await HTTPClientConnection.connectServer(
            to: address, on: loop, timeout: max(time, .milliseconds(1)), tls: tls, limits: limits)
    }

    /// Gives a connection back whose answer has ended.
    package func putBack(_ connection: HTTPClientConnection) {
        guard connection.isReusable, idle.count < HTTPConnectionPool.maxIdle else {
            return connection.closeConnection()
        }
        connection.idleSince = loop.now
        if idle.isEmpty { sweep.set(after: HTTPConnectionPool.idleLifetime) }
        idle.append(connection)
    }

    /// Closes every idle connection.
    package func closeIdle() {
        for connection in idle { connection.closeConnection() }
        idle = []
        sweep.set(nil)
    }

    private func closeStale() {
        let newest = loop.now + (.zero - HTTPConnectionPool.idleLifetime)
        // Connections go back in order of time: the stale ones are the first.
        let fresh = idle.firstIndex { $0.idleSince > newest } ?? idle.endIndex
        for connection in idle[..<fresh] { connection.closeConnection() }
        idle.removeFirst(fresh)
        if let oldest = idle.first { sweep.set(oldest.idleSince + HTTPConnectionPool.idleLifetime) }
    }
}
