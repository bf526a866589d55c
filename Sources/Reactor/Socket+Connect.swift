internal import CLibevent
internal import Glibc

extension Socket {
    /// Connects to `address`.
    ///
    /// - Parameter tls: what is spoken there; nil for nothing but bytes.
    /// - Throws: what the system said or why the handshake failed, `ETIMEDOUT` when `timeout` passed first.
    package static func connectSocket(
        to address: SocketAddress, on loop: Loop, timeout: Duration, tls: TLSClient? = nil
    ) async throws(SystemError) -> Socket {
        let end = loop.now + timeout
        let socket = try await connect(to: address, on: loop, timeout: timeout)
        if let tls { try await socket.secureConnection(as: tls, until: end) }
        return socket
    }

    private static func connect(
        to address: SocketAddress, on loop: Loop, timeout: Duration
    ) async throws(SystemError) -> Socket {
        let fd = socket(address.family, streamSocket | nonBlocking, 0)
        guard fd >= 0 else { throw SystemError("socket") }
        // Before anything can fail: from here on the socket closes the descriptor.
        let result = Socket(adopting: fd, on: loop)
        let failure = unsafe address.withSockaddr { unsafe Glibc.connect(fd, $0, $1) }
        if failure == 0 { return result }
        guard errno == EINPROGRESS else { throw SystemError("connect") }
        try await Connecting(fd, on: loop).waitForConnection(timeout: timeout)
        return result
    }
}

/// A `connectSocket` under way.
private final class Connecting {
    private enum Outcome {
        case none
        /// The kernel has connected, or has an error.
        case writable
        case timedOut
    }

    private let fd: Int32
    private let loop: Loop
    private let event = Event()
    private let wakeup = Wakeup()
    private let deadline: Deadline
    private var outcome = Outcome.none

    init(_ fd: Int32, on loop: Loop) {
        self.fd = fd
        self.loop = loop
        deadline = Deadline(on: loop)
        unsafe event.assignEvent(
            loop.base, fd: fd, events: EV_WRITE,
            callback: { _, _, context in
                let connecting = unsafe Unmanaged<Connecting>.fromOpaque(context!).takeUnretainedValue()
                connecting.loop.runTurn {
                    connecting.outcome = .writable
                    connecting.wakeup.signal()
                }
            },
            context: Unmanaged.passUnretained(self).toOpaque())
    }

    func waitForConnection(timeout: Duration) async throws(SystemError) {
        deadline.onExpiry = { [unowned self] in
            if outcome == .none { outcome = .timedOut }
            wakeup.signal()
        }
        deadline.set(after: timeout)
        event.add()
        while outcome == .none { await wakeup.wait() }
        deadline.set(nil)
        event.deleteEvent()
        guard outcome == .writable else { throw SystemError("connect", code: ETIMEDOUT) }
        var code: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        guard unsafe getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &length) == 0 else {
            throw SystemError("getsockopt")
        }
        guard code == 0 else { throw SystemError("connect", code: code) }
    }
}

let streamSocket = Int32(SOCK_STREAM.rawValue)
let nonBlocking = Int32(SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
