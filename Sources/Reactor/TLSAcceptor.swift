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
        /// Asked for at once: it cannot be asked for any more when the client has gone.
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
    private weak var listener: Listener?

    /// Whether no handshake is under way.
    var isEmpty: Bool { arrivals.isEmpty }

    /// - Parameter listener: gets each connection whose handshake is done.
    init(of listener: Listener, on loop: Loop) {
        self.listener = listener
        self.loop = loop
        nextRound = Deadline(on: loop)
        nextRound.onExpiry = { [unowned self] in continueHandshakes() }
    }

    func acceptHandshake(_ socket: Socket, _ tls: ListenerTLS) {
        let arrival = Arrival(socket, tls, on: loop)
        arrivals[ObjectIdentifier(arrival)] = arrival
        // The acceptor owns the arrivals, and they these closures.
        arrival.deadline.onExpiry = { [weak self, unowned arrival] in self?.failHandshake(arrival, .late) }
        arrival.deadline.set(after: tls.timeout)
        socket.beginTLS(by: TLSSession(server: tls.context)) { [unowned self, unowned arrival] in
            enqueueArrival(arrival)
        }
    }

    /// Drops the handshakes that are under way.
    func dropHandshakes() {
        nextRound.set(nil)
        queue = []
        for arrival in arrivals.values {
            arrival.deadline.set(nil)
            arrival.socket.close()
        }
        arrivals = [:]
    }

    private func enqueueArrival(_ arrival: Arrival) {
        guard !arrival.isQueued else { return }
        arrival.isQueued = true
        queue.append(arrival)
        if queue.count == 1 { nextRound.set(after: .zero) }
    }

    private func continueHandshakes() {
        let start = Instant.now
        var waiting: [Arrival] = []
        swap(&waiting, &queue)
        var next = 0
        while next < waiting.count, next == 0 || Instant.now - start < TLSAcceptor.share {
            waiting[next].isQueued = false
            stepHandshake(waiting[next])
            next += 1
        }
        queue = waiting[next...] + queue
        if !queue.isEmpty { nextRound.set(after: .zero) }
    }

    /// What it tells may release the listener, and with the listener the acceptor.
    private func stepHandshake(_ arrival: Arrival) { withExtendedLifetime(self) { shakeHands(arrival) } }

    private func shakeHands(_ arrival: Arrival) {
        guard arrivals[ObjectIdentifier(arrival)] != nil else { return }
        switch arrival.socket.shakeHands() {
        case .needsInput:
            break
        case .done:
            arrivals[ObjectIdentifier(arrival)] = nil
            arrival.deadline.set(nil)
            listener?.handshakeEnded(on: arrival.socket)
            if isEmpty { listener?.finishIfEmpty() }
        case .failed(let error):
            failHandshake(arrival, error)
        }
    }

    private func failHandshake(_ arrival: Arrival, _ error: TLSError) {
        guard arrivals[ObjectIdentifier(arrival)] === arrival else { return }
        arrivals[ObjectIdentifier(arrival)] = nil
        arrival.deadline.set(nil)
        arrival.tls.onRefusal(arrival.peer, error)
        arrival.socket.close()
        listener?.connectionClosed()
        if isEmpty { listener?.finishIfEmpty() }
    }
}
