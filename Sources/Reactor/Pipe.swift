internal import CLibevent
internal import Glibc

/// The two ends of a pipe, closed on exec and above the standard descriptors.
struct PipeEnds {
    let reading: Int32
    let writing: Int32

    init() throws(SystemError) {
        var ends: [Int32] = [-1, -1]
        guard unsafe ends.withUnsafeMutableBufferPointer({ unsafe remora_pipe($0.baseAddress) }) == 0 else {
            throw SystemError("pipe")
        }
        let reading = PipeEnds.raised(ends[0])
        let writing = PipeEnds.raised(ends[1])
        guard reading >= 0, writing >= 0 else {
            let error = SystemError("fcntl")
            for fd in [reading, writing] where fd >= 0 { close(fd) }
            throw error
        }
        self.reading = reading
        self.writing = writing
    }

    /// A process that was started without standard streams gets their numbers for what it opens first.
    private static func raised(_ fd: Int32) -> Int32 {
        if fd > STDERR_FILENO { return fd }
        defer { close(fd) }
        return fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1)
    }

    func closeBoth() {
        close(reading)
        close(writing)
    }
}

/// Sets a descriptor so that it never makes the loop wait. The other end of a pipe stays as it is.
private func makeNonBlocking(_ fd: Int32) { _ = fcntl(fd, F_SETFL, O_NONBLOCK) }

/// The reading end of a pipe on a loop.
@safe package final class PipeReader {
    private let loop: Loop
    private var fd: Int32
    private let reading = Event()
    private let closed = Wakeup()
    private var isPaused = false
    private var readSize = ReadSize()

    /// Bytes came. They are borrowed during the call: see ``SocketHandler/received(_:)``. It may close the reader.
    package var onBytes: ((Span<UInt8>) -> Void)?
    /// Everybody who could write has closed the pipe, or it is broken. Told once; the reader is closed by then.
    package var onEnd: (() -> Void)?

    /// Takes over a descriptor; `close` or `deinit` closes it.
    init(adopting fd: Int32, on loop: Loop) {
        self.loop = loop
        self.fd = fd
        makeNonBlocking(fd)
        unsafe reading.assign(
            loop.base, fd: fd, events: EV_READ | EV_PERSIST,
            callback: { _, _, context in
                let reader = unsafe Unmanaged<PipeReader>.fromOpaque(context!).takeUnretainedValue()
                reader.loop.turn { reader.readable() }
            },
            context: Unmanaged.passUnretained(self).toOpaque())
    }

    deinit { close() }

    package func start() { if fd >= 0, !isPaused { reading.add() } }

    /// Reads nothing more until `resume`, so that the writer has to wait.
    package func pause() {
        isPaused = true
        reading.delete()
    }

    package func resume() {
        guard isPaused else { return }
        isPaused = false
        start()
    }

    private func readable() {
        // It is told again: the event is not edge-triggered.
        guard fd >= 0, loop.mayReceive else { return }
        let buffer = unsafe loop.receiveBuffer
        let count = unsafe read(fd, buffer.baseAddress, readSize.bytes)
        if count > 0 {
            let bytes = unsafe UnsafeBufferPointer(
                start: buffer.baseAddress!.assumingMemoryBound(to: UInt8.self), count: count)
            withExtendedLifetime(self) {
                let start = Instant.now
                loop.lend { onBytes?(unsafe bytes.span) }
                if count >= ReadSize.least { readSize.adapt(to: count, from: start, to: .now) }
            }
        } else if count == 0 || (errno != EAGAIN && errno != EINTR) {
            let onEnd = onEnd
            close()
            onEnd?()
        }
    }

    /// Reads on and drops what comes, so that the writer has not to wait, until it has ended.
    package func discard() {
        onBytes = nil
        onEnd = nil
        if isPaused { resume() }
    }

    /// Waits until there is nothing more to come, at most for `patience`.
    package func waitForEnd(_ patience: Duration) async {
        await closed.wait(while: { fd >= 0 }, until: loop.now + patience, on: loop)
    }

    /// Closes at once. Nothing is told afterwards.
    package func close() {
        guard fd >= 0 else { return }
        reading.delete()
        closed.signal()
        _ = Glibc.close(fd)
        fd = -1
        onBytes = nil
        onEnd = nil
    }
}

/// The writing end of a pipe on a loop.
@safe package final class PipeWriter {
    private let loop: Loop
    private var fd: Int32
    private let writing = Event()
    private var unsent = WriteQueue()

    /// Everything that was written has left for the kernel, after it had not at once.
    package var onDrained: (() -> Void)?

    /// Takes over a descriptor; `close` or `deinit` closes it.
    init(adopting fd: Int32, on loop: Loop) {
        self.loop = loop
        self.fd = fd
        makeNonBlocking(fd)
        unsafe writing.assign(
            loop.base, fd: fd, events: EV_WRITE,
            callback: { _, _, context in
                let writer = unsafe Unmanaged<PipeWriter>.fromOpaque(context!).takeUnretainedValue()
                writer.loop.turn { writer.writable() }
            },
            context: Unmanaged.passUnretained(self).toOpaque())
    }

    deinit { close() }

    package var isOpen: Bool { fd >= 0 }

    /// Bytes written that the kernel has not taken yet.
    package var unsentBytes: Int { unsent.count }

    /// Writes the parts in order, at once as far as the kernel takes them and the rest when it can.
    ///
    /// - Returns: false if nobody reads any more, and not a byte of this was taken. What nobody reads later is not told: a
    ///   process that closes its input is known by its end.
    @discardableResult package func write(_ parts: [ArraySlice<UInt8>]) -> Bool {
        guard fd >= 0 else { return false }
        let wasEmpty = unsent.isEmpty
        for part in parts where !part.isEmpty { unsent.append(part) }
        let all = unsent.count
        if wasEmpty { flush() }
        return fd >= 0 || unsent.count < all
    }

    private func flush() {
        while !unsent.isEmpty {
            let written = unsent.write(to: fd)
            if written >= 0 {
                unsent.removeFirst(written)
            } else if errno == EAGAIN {
                return writing.add()
            } else if errno != EINTR {
                return closeDescriptor()
            }
        }
    }

    private func writable() {
        guard fd >= 0 else { return }
        flush()
        if unsent.isEmpty { onDrained?() }
    }

    /// Closes at once; what was not written yet is lost.
    package func close() {
        closeDescriptor()
        unsent = WriteQueue()
    }

    private func closeDescriptor() {
        guard fd >= 0 else { return }
        writing.delete()
        _ = Glibc.close(fd)
        fd = -1
    }
}
