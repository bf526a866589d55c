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

    private let loop: Loop
    private let fd: Int32
    private let event = Event()
    private let retry: Deadline
    /// How many connections may be open at once. Those that are open stay so when it becomes less.
    package var maxConnections: Int { didSet { if openConnections < maxConnections { resume() } } }
    private var openConnections = 0
    /// The file of a Unix socket, which goes with the listener that made it.
    private var file: SocketFile?
    package private(set) var isClosed = false
    private var isFinishing = false
    /// Whether it closes as soon as nobody waits any more.
    private var closesWhenEmpty = false
    private var onConnection: ((Socket) -> Void)?
    /// Called when it has closed by ``finish()``.
    package var onFinished: (() -> Void)?
    /// What it speaks with connections that come from now on; nil for nothing but bytes.
    package var tls: ListenerTLS?
    private var acceptor: TLSAcceptor?

    /// The address it really listens on, with the port that the system gave when 0 was asked for.
    package let address: SocketAddress

    /// Binds and listens, but accepts nothing before `start`.
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
            let (fd, file) = try SocketFile.bind(path, mode: mode)
            (self.fd, self.file) = (fd, file)
            self.address = address
        } else {
            fd = try Listener.bind(address, shared: shared)
            guard let bound = SocketAddress(boundTo: fd) else { throw SystemError("getsockname") }
            self.address = bound
        }
        if listen(fd, Listener.backlog) != 0 { throw SystemError("listen") }
    }

    /// The listening socket once more, for a listener on another loop: of a Unix socket there can be no two. To be given to
    /// such a listener, once.
    package struct Share: Sendable {
        fileprivate let fd: Int32
        fileprivate let address: SocketAddress
        fileprivate let maxConnections: Int
    }

    package func share() throws(SystemError) -> Share {
        let copy = fcntl(fd, F_DUPFD_CLOEXEC, 0)
        guard copy >= 0 else { throw SystemError("dup") }
        return Share(fd: copy, address: address, maxConnections: maxConnections)
    }

    /// Where a listener is to be.
    package enum Place: Sendable {
        case at(SocketAddress, shared: Bool, mode: UInt32)
        case beside(Share)
    }

    /// The place for a listener of another loop that takes the same connections.
    package func neighbour() throws(SystemError) -> Place {
        address.isUnix ? .beside(try share()) : .at(address, shared: true, mode: 0)
    }

    package convenience init(on loop: Loop, _ place: Place, maxConnections: Int) throws(SystemError) {
        switch place {
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

    deinit { close() }

    private static func bind(_ address: SocketAddress, shared: Bool) throws(SystemError) -> Int32 {
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
    package func start(_ onConnection: @escaping (Socket) -> Void) {
        self.onConnection = onConnection
        unsafe event.assign(
            loop.base, fd: fd, events: EV_READ | EV_PERSIST,
            callback: { _, _, context in
                let listener = unsafe Unmanaged<Listener>.fromOpaque(context!).takeUnretainedValue()
                listener.loop.turn { listener.accept() }
            },
            context: Unmanaged.passUnretained(self).toOpaque())
        event.add()
        retry.onExpiry = { [unowned self] in resume() }
    }

    /// To be called once for each connection when it is over.
    package func connectionClosed() {
        openConnections -= 1
        // Each connection has one task, or one handshake, which says so at its end.
        precondition(openConnections >= 0, "a connection was closed twice")
        if openConnections == maxConnections - 1 { resume() }
    }

    private func resume() {
        guard !isClosed, onConnection != nil else { return }
        event.add()
        // Where nobody waits any more, no event comes to say so.
        if closesWhenEmpty { accept() }
    }

    private func accept() {
        while !isClosed {
            guard openConnections < maxConnections else { return event.delete() }
            let connection = remora_accept(fd)
            if connection >= 0 {
                openConnections += 1
                let socket = Socket(adopting: connection, on: loop)
                if let tls { secure(socket, by: tls) } else { onConnection?(socket) }
            } else if errno == EAGAIN {
                finishIfEmpty()
                return
            } else if !Listener.troublesOfOne.contains(errno) {
                event.delete()
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
    package func finish() {
        guard !isClosed, !isFinishing else { return }
        isFinishing = true
        // A Unix socket that has no name any more is found by nobody.
        file?.remove()
        // Without the filter somebody might still come between the last `accept` and the end; nothing worse.
        _ = remora_ignore_newcomers(fd)
        retry.onExpiry = { [unowned self] in
            closesWhenEmpty = true
            resume()
        }
        retry.set(after: Listener.handshakeTime)
    }

    /// Hands a connection on after its handshake.
    private func secure(_ socket: Socket, by tls: ListenerTLS) {
        let acceptor =
            acceptor
            ?? TLSAcceptor(
                on: loop, onConnection: { [weak self] in self?.onConnection?($0) },
                onFailure: { [weak self] in self?.connectionClosed() },
                onEmpty: { [weak self] in self?.finishIfEmpty() })
        self.acceptor = acceptor
        acceptor.accept(socket, tls)
    }

    private func finishIfEmpty() {
        guard closesWhenEmpty, !isClosed, acceptor?.isEmpty ?? true else { return }
        close()
        onFinished?()
    }

    /// Stops listening at once. Connections that it accepted live on.
    package func close() {
        guard !isClosed else { return }
        isClosed = true
        event.delete()
        retry.set(nil)
        acceptor?.close()
        _ = Glibc.close(fd)
        file?.remove()
    }
}
