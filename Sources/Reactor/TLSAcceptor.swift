package import Crypto

/// What a listener needs to speak TLS.
package struct ListenerTLS: Sendable {
    package let context: TLSContext
    /// How long a handshake may take.
    package let timeout: Duration
    /// Told of each client that was refused, by its address, with the reason.
    package let onRefusal: @Sendable (SocketAddress?, TLSError) -> Void

    package init(
        _ context: TLSContext, timeout: Duration, onRefusal: @escaping @Sendable (SocketAddress?, TLSError) -> Void
    ) {
        self.context = context
        self.timeout = timeout
        self.onRefusal = onRefusal
    }
}

/// The handshakes of a listener's new connections.
///
/// A handshake costs up to a millisecond of signing, more than a hundred calls' worth of waiting events. So they queue for
/// it, and between two rounds of the loop only a few go on: however many arrive, what is connected is served meanwhile.
final class TLSAcceptor {
    /// Time for handshakes in one round of the loop; one goes on in any case.
    private static let share: Duration = .milliseconds(1)

    private final class Arrival {
        let socket: Socket
        /// Asked for at once: nobody can tell any more when the client has gone.
        let peer: SocketAddress?
        let tls: ListenerTLS
        let deadline: Deadline
        var isQueued = false

        init(_ socket: Socket, _ tls: ListenerTLS, on loop: Loop) {
            self.socket = socket
            self.tls = tls
            peer = socket.peer
            deadline = Deadline(on: loop)
        }
    }

    private let loop: Loop
    private var arrivals: [ObjectIdentifier: Arrival] = [:]
    private var queue: [Arrival] = []
    private let nextRound: Deadline
    private let onConnection: (Socket) -> Void
    private let onFailure: () -> Void
    private let onEmpty: () -> Void

    /// Whether no handshake is under way.
    var isEmpty: Bool { arrivals.isEmpty }

    /// - Parameters:
    ///   - onConnection: gets each connection whose handshake is done.
    ///   - onFailure: called for each that is closed instead.
    ///   - onEmpty: called when no handshake is under way any more.
    init(
        on loop: Loop, onConnection: @escaping (Socket) -> Void, onFailure: @escaping () -> Void,
        onEmpty: @escaping () -> Void
    ) {
        self.loop = loop
        self.onConnection = onConnection
        self.onFailure = onFailure
        self.onEmpty = onEmpty
        nextRound = Deadline(on: loop)
        nextRound.onExpiry = { [unowned self] in goOn() }
    }

    func accept(_ socket: Socket, _ tls: ListenerTLS) {
        let arrival = Arrival(socket, tls, on: loop)
        arrivals[ObjectIdentifier(arrival)] = arrival
        // The acceptor owns the arrivals, and they these closures.
        arrival.deadline.onExpiry = { [weak self, unowned arrival] in self?.fail(arrival, .late) }
        arrival.deadline.set(after: tls.timeout)
        socket.secure(by: TLSSession(server: tls.context)) { [unowned self, unowned arrival] in enqueue(arrival) }
    }

    /// Drops the handshakes that are under way.
    func close() {
        nextRound.set(nil)
        queue = []
        for arrival in arrivals.values {
            arrival.deadline.set(nil)
            arrival.socket.close()
        }
        arrivals = [:]
    }

    private func enqueue(_ arrival: Arrival) {
        guard !arrival.isQueued else { return }
        arrival.isQueued = true
        queue.append(arrival)
        if queue.count == 1 { nextRound.set(after: .zero) }
    }

    private func goOn() {
        let start = Instant.now
        var waiting: [Arrival] = []
        swap(&waiting, &queue)
        var next = 0
        while next < waiting.count, next == 0 || Instant.now - start < TLSAcceptor.share {
            waiting[next].isQueued = false
            step(waiting[next])
            next += 1
        }
        queue = waiting[next...] + queue
        if !queue.isEmpty { nextRound.set(after: .zero) }
    }

    /// What it tells may let go of the listener, and with that of the acceptor.
    private func step(_ arrival: Arrival) { withExtendedLifetime(self) { shakeHands(arrival) } }

    private func shakeHands(_ arrival: Arrival) {
        guard arrivals[ObjectIdentifier(arrival)] != nil else { return }
        switch arrival.socket.shakeHands() {
        case .needsInput:
            break
        case .done:
            arrivals[ObjectIdentifier(arrival)] = nil
            arrival.deadline.set(nil)
            onConnection(arrival.socket)
            if isEmpty { onEmpty() }
        case .failed(let error):
            fail(arrival, error)
        }
    }

    private func fail(_ arrival: Arrival, _ error: TLSError) {
        guard arrivals[ObjectIdentifier(arrival)] === arrival else { return }
        arrivals[ObjectIdentifier(arrival)] = nil
        arrival.deadline.set(nil)
        arrival.tls.onRefusal(arrival.peer, error)
        arrival.socket.close()
        onFailure()
        if isEmpty { onEmpty() }
    }
}
