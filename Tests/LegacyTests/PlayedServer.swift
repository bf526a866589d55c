import Glibc
import HTTPTransport
import HTTPWire
import Telemetry
import TestSupport
import Testing

@testable import Legacy
@testable import Reactor

/// A server whose part a test plays, and requests to it over real connections.
final class PlayedServer {
    static let maxMessage = 4096
    private static let log = Log(level: .error, format: .text)

    static func request(_ body: [UInt8] = []) -> HTTPMessage {
        HTTPMessage(body, headSize: 64) {
            $0 += Array("POST /mcp HTTP/1.1\r\nHost: h\r\nContent-Length: \(body.count)\r\n\r\n".utf8)
        }
    }

    /// The connections on which a request has come, in the order in which the test asks for them.
    private final class Asked {
        var peers: [Peer] = []
        let changed = Wakeup()
    }

    let loop: Loop
    let host: Host
    let route: SessionRoute
    var backend: Backend { route.backend }
    private let asked = Asked()

    /// - Parameter isPinned: whether the session has only one connection.
    init(on loop: Loop, isPinned: Bool = false, streamBuffer: Int = 1 << 20) throws {
        self.loop = loop
        host = try Host(on: loop, maxConnections: 100_000) { [asked] peer in
            peer.onReceive = { peer, _ in
                asked.peers.append(peer)
                asked.changed.signal()
            }
        }
        let limits = Backend.Limits(
            maxMessage: PlayedServer.maxMessage, streamBuffer: streamBuffer, head: HTTPLimits(), maxDepth: 8,
            silence: .seconds(60), connect: .seconds(5))
        let backend = Backend(
            at: .host("127.0.0.1", port: host.address.port), label: "played", hostField: "h", target: "/mcp",
            pinsConnections: isPinned, on: loop, limits: limits, log: PlayedServer.log)
        route = SessionRoute(to: backend)
    }

    /// A request that is on its way.
    func exchange(
        isRepeatable: Bool = false, patience: BackendExchange.Patience = .until(.now + .seconds(60)),
        _ request: HTTPMessage = PlayedServer.request()
    ) -> BackendExchange {
        BackendExchange(request, by: route, patience: patience, isRepeatable: isRepeatable)
    }

    /// A request that has come, and the server's end of the connection on which it has.
    func ask(
        isRepeatable: Bool = false, patience: BackendExchange.Patience = .until(.now + .seconds(60))
    ) async throws -> (BackendExchange, Peer) {
        let exchange = exchange(isRepeatable: isRepeatable, patience: patience)
        return (exchange, try await requested())
    }

    /// Where the next request has come.
    func requested() async throws -> Peer {
        try await eventually("a request", on: loop, asked.changed) { !self.asked.peers.isEmpty }
        return asked.peers.removeFirst()
    }

    /// Whether a request has come that the test has not asked for yet.
    var hasRequest: Bool { !asked.peers.isEmpty }

    /// An idle connection that the server has served.
    func warm() async throws {
        let (exchange, peer) = try await ask()
        peer.write(Wire.head("202 Accepted", length: 0))
        await settle()
        try #require(exchange.isExhausted && isKept)
    }

    /// Whether a connection is kept for the next request.
    var isKept: Bool {
        if let pin = route.pin { return !pin.isOver }
        return backend.connections.idleCount > 0
    }

    /// Lets everything arrive that is on its way, and every task go on.
    func settle() async { for _ in 0..<4 { await loop.nextTurn() } }

    func read(_ exchange: BackendExchange) async -> Reading {
        var texts: [String] = []
        do throws(BackendError) {
            while let text = try await exchange.nextMessage() { texts.append(String(decoding: text, as: UTF8.self)) }
            return Reading(texts: texts, error: nil)
        } catch {
            return Reading(texts: texts, error: error.kind)
        }
    }

    /// Ends a connection without an end of the stream.
    func reset(_ peer: Peer) {
        var option = linger(l_onoff: 1, l_linger: 0)
        _ = setsockopt(peer.socket.fd, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
        peer.socket.close()
    }

    /// Runs `body` with a server on a loop of its own.
    static func with(
        isPinned: Bool = false, streamBuffer: Int = 1 << 20,
        _ body: @escaping @Sendable (PlayedServer) async throws -> Void
    ) async throws {
        try await withLoop { loop in
            try await body(PlayedServer(on: loop, isPinned: isPinned, streamBuffer: streamBuffer))
        }
    }
}

/// All messages of an exchange, and what it ended with.
struct Reading: Equatable, ExpressibleByArrayLiteral {
    let texts: [String]
    let error: BackendError.Kind?

    init(texts: [String], error: BackendError.Kind?) {
        self.texts = texts
        self.error = error
    }

    init(arrayLiteral texts: String...) { self.init(texts: texts, error: nil) }

    static func failed(_ error: BackendError.Kind, after texts: [String] = []) -> Reading {
        Reading(texts: texts, error: error)
    }
}

/// Parts of an answer.
enum Wire {
    static let json = "Content-Type: application/json\r\n"
    static let events = "Content-Type: text/event-stream\r\n"
    static let chunked = "Transfer-Encoding: chunked\r\n"
    static let lastChunk = "0\r\n\r\n"

    static func head(_ status: String = "200 OK", _ fields: String = "", length: Int? = nil) -> String {
        "HTTP/1.1 \(status)\r\n\(fields)\(length.map { "Content-Length: \($0)\r\n" } ?? chunked)\r\n"
    }

    static func chunk(_ text: String) -> String { "\(String(text.utf8.count, radix: 16))\r\n\(text)\r\n" }

    static func event(_ text: String, id: String? = nil) -> String {
        chunk("\(id.map { "id: \($0)\n" } ?? "")data: \(text)\n\n")
    }

    /// A whole answer.
    static func answer(_ body: String, _ status: String = "200 OK", _ fields: String = json) -> String {
        head(status, fields, length: body.utf8.count) + body
    }
}

/// Keeps count of what it is told.
final class CountingReader: CallReader {
    private(set) var told = 0

    func messagesArrived() { told += 1 }
}
