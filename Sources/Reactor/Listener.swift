internal import CLibevent
internal import Glibc

/// A listening socket on a loop, with a limit on what it has open at once.
///
/// At the limit it stops accepting: connections then wait in the kernel's backlog, whose length bounds them.
package final class Listener {
    /// Connections that may wait to be accepted. The kernel caps it at `net.core.somaxconn`.
    private static let backlog: Int32 = 1024
    /// How long to leave the backlog alone when the process or the system is out of descriptors.
    private static let pauseWithoutDescriptors: Duration = .milliseconds(100)
    /// How long a connection that is being made when the listener ends may take to come about: a round trip
    /// in a data centre, many times over.
    private static let handshakeTime: Duration = .milliseconds(50)

    private enum Phase {
        /// Leads to `finishing`, `closed`.
        case open
        /// No further connection comes, but for those that are being made. Leads to `emptying`, `closed`.
        case finishing
        /// It closes as soon as no connection waits any more. Leads to `closed`.
        case emptying
        case closed
    }

    private let loop: Loop
    private let fd: Int32
    private let event = Event()
    private let retry: Deadline
    /// How many connections may be open at once. Those that are open stay so when it becomes less.
    package var maxConnections: Int { didSet { if openConnections < maxConnections { resumeAccepting() } } }
    private var openConnections = 0
    /// The file of a Unix socket, which goes with the listener that made it.
    private var file: SocketFile?
    private var phase = Phase.open
    private var onConnection: ((Socket) -> Void)?
    /// Called when it has closed by ``finishAccepting()``.
    package var onFinished: (() -> Void)?
    /// What it speaks with connections that come from now on; nil for nothing but bytes.
    package var tls: ListenerTLS?
    private var acceptor: TLSAcceptor?

    /// The address it really listens on, with the port that the system gave when 0 was asked for.
    package let address: SocketAddress

    package var isClosed: Bool { phase == .closed }

    /// Binds and listens, but accepts nothing before `startAccepting`.
    ///
    /// - Parameters:
    ///   - shared: with `SO_REUSEPORT`, so that several loops can each have a listener on the address.
    ///   - mode: who may connect to a Unix socket.
    package init(
        on loop: Loop, address: SocketAddress, maxConnections: Int, shared: Bool, mode: UInt32 = 0o660
    ) throws(SystemError) {
        self.loop = loop
        self.maxConnections = maxConnections
        retry = Deadline(on: loop)
        if let path = address.path {
            let (fd, file) = try SocketFile.bindFile(path, mode: mode)
            (self.fd, self.file) = (fd, file)
            self.address = address
        } else {
            fd = try Listener.bindAddress(address, shared: shared)
            guard let bound = SocketAddress(boundTo: fd) else { throw SystemError("getsockname") }
            self.address = bound
        }
        if listen(fd, Listener.backlog) != 0 { throw SystemError("listen") }
    }

    /// The listening socket once more, for a listener on another loop: of a Unix socket there can be no two. To be given to one
    /// other listener, once.
    package struct Share: Sendable {
        fileprivate let fd: Int32
        fileprivate let address: SocketAddress
        fileprivate let maxConnections: Int
    }

    package func sharedDescriptor() throws(SystemError) -> Share {
        let copy = fcntl(fd, F_DUPFD_CLOEXEC, 0)
        guard copy >= 0 else { throw SystemError("dup") }
        return Share(fd: copy, address: address, maxConnections: maxConnections)
    }

    /// Where a listener is to be.
    package enum Target: Sendable {
        case at(SocketAddress, shared: Bool, mode: UInt32)
        case beside(Share)
    }

    /// The place for a listener of another loop that takes the same connections.
    package func neighbourTarget() throws(SystemError) -> Target {
        address.isUnix ? .beside(try sharedDescriptor()) : .at(address, shared: true, mode: 0)
    }

    package convenience init(on loop: Loop, _ target: Target, maxConnections: Int) throws(SystemError) {
        switch target {
        case .at(let address, let shared, let mode):
            try self.init(on: loop, address: address, maxConnections: maxConnections, shared: shared, mode: mode)
        case .beside(let share):
            self.init(on: loop, share)
        }
    }

    package init(on loop: Loop, _ share: Share) {
        self.loop = loop
        maxConnections = share.maxConnections
        retry = Deadline(on: loop)
        address = share.address
        fd = share.fd
    }

    deinit { closeListener() }

    private static func bindAddress(_ address: SocketAddress, shared: Bool) throws(SystemError) -> Int32 {
        let fd = socket(address.family, streamSocket | nonBlocking, 0)
        guard fd >= 0 else { throw SystemError("socket") }
        do throws(SystemError) {
            var one: Int32 = 1
            let size = socklen_t(MemoryLayout<Int32>.size)
            for option in [SO_REUSEADDR] + (shared ? [SO_REUSEPORT] : []) {
                if unsafe setsockopt(fd, SOL_SOCKET, option, &one, size) != 0 { throw SystemError("setsockopt") }
            }
            if address.family == AF_INET6 {
                // `[::]` means every interface, those of IPv4 too, whatever the system's default is.
                var zero: Int32 = 0
                let call = unsafe setsockopt(fd, Int32(IPPROTO_IPV6), IPV6_V6ONLY, &zero, size)
                if call != 0 { throw SystemError("setsockopt") }
            }
            if unsafe address.withSockaddr({ unsafe Glibc.bind(fd, $0, $1) }) != 0 { throw SystemError("bind") }
            return fd
        } catch {
            _ = Glibc.close(fd)
            throw error
        }
    }

    /// Begins to accept. Each connection counts against the limit until `connectionClosed` is called for it.
    package func startAccepting(_ onConnection: @escaping (Socket) -> Void) {
        self.onConnection = onConnection
        unsafe event.assignEvent(
            loop.base, fd: fd, events: EV_READ | EV_PERSIST,
            callback: { _, _, context in
                let listener = unsafe Unmanaged<Listener>.fromOpaque(context!).takeUnretainedValue()
                listener.loop.runTurn { listener.acceptConnections() }
            },
            context: Unmanaged.passUnretained(self).toOpaque())
        event.add()
        retry.onExpiry = { [unowned self] in resumeAccepting() }
    }

    /// To be called once for each connection when it is over.
    package func connectionClosed() {
        openConnections -= 1
        // Each connection has one task, or one handshake, which says so at its end.
        precondition(openConnections >= 0, "a connection was closed twice")
        if openConnections == maxConnections - 1 { resumeAccepting() }
    }

    private func resumeAccepting() {
        guard !isClosed, onConnection != nil else { return }
        event.add()
        // If no connection waits any more, no event comes to say so.
        if phase == .emptying { acceptConnections() }
    }

    private func acceptConnections() {
        while !isClosed {
            guard openConnections < maxConnections else { return event.deleteEvent() }
            let connection = remora_accept(fd)
            if connection >= 0 {
                openConnections += 1
                let socket = Socket(adopting: connection, on: loop)
                if let tls { secureConnection(socket, by: tls) } else { onConnection?(socket) }
            } else if errno == EAGAIN {
                finishIfEmpty()
                return
            } else if !Listener.troublesOfOne.contains(errno) {
                event.deleteEvent()
                return retry.set(after: Listener.pauseWithoutDescriptors)
            }
        }
    }

    /// What a connection brings with it that was over before it began, as accept(2) has it: the next one is taken. Anything
    /// else, such as no more descriptors, would come again.
    private static let troublesOfOne = [
        EINTR, ECONNABORTED, EPROTO, EPERM, ENETDOWN, ENOPROTOOPT, EHOSTDOWN, ENONET, EHOSTUNREACH, EOPNOTSUPP,
        ENETUNREACH,
    ]

    /// Stops listening without losing anybody: who knocks from now on is not heard, and who was heard before is still let in.
    /// A client whose connection the kernel has made knows nothing of whether it was accepted, and may have sent a request
    /// already; to close at once would reset it.
    package func finishAccepting() {
        guard phase == .open else { return }
        phase = .finishing
        // A Unix socket that has no name any more cannot be found.
        file?.removeFile()
        // Without the filter a connection might still come between the last `accept` and the end; nothing worse.
        _ = remora_ignore_newcomers(fd)
        retry.onExpiry = { [unowned self] in
            if phase == .finishing { phase = .emptying }
            resumeAccepting()
        }
        retry.set(after: Listener.handshakeTime)
    }

    /// Hands a connection on after its handshake.
    private func secureConnection(_ socket: Socket, by tls: ListenerTLS) {
        let acceptor =
            acceptor
            ?? TLSAcceptor(of: self, on: loop)
        self.acceptor = acceptor
        acceptor.acceptHandshake(socket, tls)
    }

    /// A handshake has ended well.
    func handshakeEnded(on socket: Socket) { onConnection?(socket) }

    /// Closes, if it is to close as soon as no connection waits and no handshake is under way any more.
    func finishIfEmpty() {
        guard phase == .emptying, acceptor?.isEmpty ?? true else { return }
        closeListener()
        onFinished?()
    }

    /// Stops listening at once. Connections that it accepted live on.
    package func closeListener() {
        guard !isClosed else { return }
        phase = .closed
        event.deleteEvent()
        retry.set(nil)
        acceptor?.dropHandshakes()
        _ = Glibc.close(fd)
        file?.removeFile()
    }
}
