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
        let reading = PipeEnds.raisedDescriptor(ends[0])
        let writing = PipeEnds.raisedDescriptor(ends[1])
        guard reading >= 0, writing >= 0 else {
            let error = SystemError("fcntl")
            for fd in [reading, writing] where fd >= 0 { close(fd) }
            throw error
        }
        self.reading = reading
        self.writing = writing
    }

    /// A process that was started without standard streams gets their numbers for what it opens first.
    private static func raisedDescriptor(_ fd: Int32) -> Int32 {
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

    /// Bytes came. They are borrowed during the call: see ``SocketHandler/receivedBytes(_:)``. It may close the reader.
    package var onBytes: ((Span<UInt8>) -> Void)?
    /// Every writer has closed the pipe, or it is broken. Told once; the reader is closed by then.
    package var onEnd: (() -> Void)?

    /// Takes over a descriptor; `closePipe` or `deinit` closes it.
    init(adopting fd: Int32, on loop: Loop) {
        self.loop = loop
        self.fd = fd
        makeNonBlocking(fd)
        unsafe reading.assignEvent(
            loop.base, fd: fd, events: EV_READ | EV_PERSIST,
            callback: { _, _, context in
                let reader = unsafe Unmanaged<PipeReader>.fromOpaque(context!).takeUnretainedValue()
                reader.loop.runTurn { reader.readAvailable() }
            },
            context: Unmanaged.passUnretained(self).toOpaque())
    }

    deinit { closePipe() }

    package func startReading() { if fd >= 0, !isPaused { reading.add() } }

    /// Reads nothing more until `resumeReading`, so that the writer has to wait.
    package func pauseReading() {
        isPaused = true
        reading.deleteEvent()
    }

    package func resumeReading() {
        guard isPaused else { return }
        isPaused = false
        startReading()
    }

    private func readAvailable() {
        // It is told again: the event is not edge-triggered.
        guard fd >= 0, loop.mayReceive else { return }
        let buffer = unsafe loop.receiveBuffer
        let count = unsafe read(fd, buffer.baseAddress, readSize.bytes)
        if count > 0 {
            let bytes = unsafe UnsafeBufferPointer(
                start: buffer.baseAddress!.assumingMemoryBound(to: UInt8.self), count: count)
            withExtendedLifetime(self) {
                let start = Instant.now
                loop.lendBytes { onBytes?(unsafe bytes.span) }
                if count >= ReadSize.least { readSize.adapt(to: count, from: start, to: .now) }
            }
        } else if count == 0 || (errno != EAGAIN && errno != EINTR) {
            let onEnd = onEnd
            closePipe()
            onEnd?()
        }
    }

    /// Reads on and drops what comes, so that the writer has not to wait, until it has ended.
    package func discardInput() {
        onBytes = nil
        onEnd = nil
        if isPaused { resumeReading() }
    }

    /// Waits until there is nothing more to come, at most for `patience`.
    package func waitForEnd(_ patience: Duration) async {
        await closed.wait(while: { fd >= 0 }, until: loop.now + patience, on: loop)
    }

    /// Closes at once. Nothing is told afterwards.
    package func closePipe() {
        guard fd >= 0 else { return }
        reading.deleteEvent()
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

    /// Takes over a descriptor; `closePipe` or `deinit` closes it.
    init(adopting fd: Int32, on loop: Loop) {
        self.loop = loop
        self.fd = fd
        makeNonBlocking(fd)
        unsafe writing.assignEvent(
            loop.base, fd: fd, events: EV_WRITE,
            callback: { _, _, context in
                let writer = unsafe Unmanaged<PipeWriter>.fromOpaque(context!).takeUnretainedValue()
                writer.loop.runTurn { writer.pipeIsWritable() }
            },
            context: Unmanaged.passUnretained(self).toOpaque())
    }

    deinit { closePipe() }

    package var isOpen: Bool { fd >= 0 }

    /// Bytes written that the kernel has not taken yet.
    package var unsentBytes: Int { unsent.count }

    /// Writes the parts in order, at once as far as the kernel takes them and the rest when it can.
    ///
    /// - Returns: false if there is no reader any more, and not a byte of this was taken. Bytes that are not read later are not
    ///   told: a process that closes its input is known by its end.
    @discardableResult package func writeParts(_ parts: [ArraySlice<UInt8>]) -> Bool {
        guard fd >= 0 else { return false }
        let wasEmpty = unsent.isEmpty
        for part in parts where !part.isEmpty { unsent.appendPart(part) }
        let all = unsent.count
        if wasEmpty { flushQueue() }
        return fd >= 0 || unsent.count < all
    }

    private func flushQueue() {
        while !unsent.isEmpty {
            let written = unsent.writeParts(to: fd)
            if written >= 0 {
                unsent.removeFirst(written)
            } else if errno == EAGAIN {
                return writing.add()
            } else if errno != EINTR {
                return closeDescriptor()
            }
        }
    }

    private func pipeIsWritable() {
        guard fd >= 0 else { return }
        flushQueue()
        if unsent.isEmpty { onDrained?() }
    }

    /// Closes at once; what was not written yet is lost.
    package func closePipe() {
        closeDescriptor()
        unsent = WriteQueue()
    }

    private func closeDescriptor() {
        guard fd >= 0 else { return }
        writing.deleteEvent()
        _ = Glibc.close(fd)
        fd = -1
    }
}
