import Glibc

/// A socket of either side.
class Link {
    let poller: Poller
    private(set) var descriptor: Int32
    private var unsent: [UInt8] = []
    private var sent = 0
    private(set) var isReading = true

    var isOpen: Bool { descriptor >= 0 }
    var hasUnsent: Bool { sent < unsent.count }

    init(_ descriptor: Int32, on poller: Poller) {
        self.poller = poller
        self.descriptor = descriptor
        var one: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
        _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
        poller.add(self)
    }

    /// Bytes came; they are valid during the call.
    func received(_ bytes: UnsafeRawBufferPointer) {}

    /// The other side sends no more, or has broken off. The link is closed by then.
    func ended() {}

    /// The other side sends no more; returns whether the link stays open.
    func halfEnded() -> Bool { false }

    func read() {
        guard isOpen else { return }
        let count = recv(descriptor, poller.buffer.baseAddress, readSize, 0)
        if count > 0 {
            received(UnsafeRawBufferPointer(rebasing: poller.buffer[..<count]))
        } else if count == 0 || (errno != EAGAIN && errno != EINTR) {
            if count == 0, halfEnded() { return }
            close()
            ended()
        }
    }

    /// Bytes that one look takes.
    var readSize: Int { poller.buffer.count }

    func pauseReading() { setReading(false) }

    func resumeReading() { setReading(true) }

    private func setReading(_ isReading: Bool) {
        guard isOpen, self.isReading != isReading else { return }
        self.isReading = isReading
        poller.change(self)
    }

    func write(_ bytes: [UInt8]) {
        guard isOpen, !bytes.isEmpty else { return }
        let wasEmpty = !hasUnsent
        if wasEmpty {
            unsent = bytes
            sent = 0
        } else {
            unsent += bytes
        }
        if wasEmpty { flush() }
    }

    func flush() {
        guard isOpen else { return }
        while hasUnsent {
            let count = unsent.withUnsafeBytes {
                send(descriptor, $0.baseAddress! + sent, $0.count - sent, Int32(MSG_NOSIGNAL))
            }
            if count > 0 {
                sent += count
            } else if errno == EAGAIN {
                return poller.change(self)
            } else if errno != EINTR {
                // Reading tells of it.
                break
            }
        }
        unsent = []
        sent = 0
        poller.change(self)
    }

    func shutdownWriting() {
        if isOpen { shutdown(descriptor, Int32(SHUT_WR)) }
    }

    func close() {
        guard isOpen else { return }
        poller.remove(self)
        Glibc.close(descriptor)
        descriptor = -1
    }

    /// Closes without an end of the stream.
    func reset() {
        guard isOpen else { return }
        var now = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &now, socklen_t(MemoryLayout<linger>.size))
        close()
    }

    /// Connects to a port of this machine; nil when that is refused at once.
    static func connect(to port: UInt16) -> Int32? {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return nil }
        let status = withLoopback(port) { Glibc.connect(descriptor, $0, $1) }
        if status == 0 { return descriptor }
        Glibc.close(descriptor)
        return nil
    }

    static func withLoopback<Result>(
        _ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
    ) -> Result {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }
}
