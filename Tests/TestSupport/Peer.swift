package import Reactor

/// One end of a connection, which keeps what it is told.
package final class Peer: SocketHandler {
    package let socket: Socket
    package private(set) var bytes: [UInt8] = []
    package private(set) var hasEnded = false
    package private(set) var error: SystemError?
    package private(set) var drains = 0
    /// Called with what has arrived, before it is kept.
    package var onReceive: ((Peer, [UInt8]) -> Void)?
    private let loop: Loop
    private let changed = Wakeup()

    package init(_ socket: Socket, on loop: Loop) {
        self.socket = socket
        self.loop = loop
        socket.startReading(self)
    }

    deinit { socket.close() }

    package static func connect(to address: SocketAddress, on loop: Loop, tls: TLSClient? = nil) async throws -> Peer {
        Peer(try await Socket.connectSocket(to: address, on: loop, timeout: .seconds(5), tls: tls), on: loop)
    }

    package func write(_ text: String) { socket.write(Array(text.utf8)) }

    package var text: String { String(decoding: bytes, as: UTF8.self) }

    /// Forgets what has arrived.
    package func clear() { bytes = [] }

    package func until(_ what: String, _ condition: (Peer) -> Bool) async throws {
        do {
            try await eventually(what, on: loop, changed) { condition(self) }
        } catch {
            throw TimedOut(what: "\(what); \(bytes.count) bytes came, ended: \(hasEnded): \(text.prefix(300))")
        }
    }

    package func receivedBytes(_ bytes: Span<UInt8>) {
        let part = bytes.withUnsafeBufferPointer { Array($0) }
        onReceive?(self, part)
        self.bytes += part
        changed.signal()
    }

    package func writesDrained() {
        drains += 1
        changed.signal()
    }

    package func socketEnded(_ error: SystemError?) {
        hasEnded = true
        self.error = error
        changed.signal()
    }
}

/// A listener and the ends of the connections that it has accepted.
package final class Host {
    package let listener: Listener
    package private(set) var peers: [Peer] = []
    private let loop: Loop
    private let accepted = Wakeup()

    /// - Parameter tls: how it is spoken there; nil for no TLS.
    package init(
        on loop: Loop, maxConnections: Int = 100, tls: ListenerTLS? = nil,
        onAccept: @escaping (Peer) -> Void = { _ in }
    ) throws {
        guard let any = SocketAddress(host: "127.0.0.1", port: 0) else { preconditionFailure("no address") }
        self.loop = loop
        listener = try Listener(on: loop, address: any, maxConnections: maxConnections, shared: false)
        listener.tls = tls
        listener.startAccepting { [unowned self] socket in
            let peer = Peer(socket, on: loop)
            peers.append(peer)
            onAccept(peer)
            accepted.signal()
        }
    }

    package var address: SocketAddress { listener.address }

    package func untilAccepted(_ count: Int) async throws {
        try await eventually("\(count) connections, \(peers.count) came", on: loop, accepted) {
            self.peers.count >= count
        }
    }

    /// Both ends of a new connection.
    package func pair(tls: TLSClient? = nil) async throws -> (here: Peer, there: Peer) {
        let count = peers.count
        let here = try await Peer.connect(to: address, on: loop, tls: tls)
        try await untilAccepted(count + 1)
        return (here, peers[count])
    }

    /// Closes a connection that it has accepted.
    package func close(_ peer: Peer) {
        guard let index = peers.firstIndex(where: { $0 === peer }) else { return }
        peers.remove(at: index)
        peer.socket.close()
        listener.connectionClosed()
    }
}
