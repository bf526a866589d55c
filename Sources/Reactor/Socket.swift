internal import CLibevent
internal import Crypto
internal import Glibc

/// What happens on a socket, told to its owner on the loop's thread.
///
/// A handler closes its socket before it goes away: in its `deinit`, at the latest.
package protocol SocketHandler: AnyObject {
    /// Bytes arrived. They are borrowed during the call: it decodes them, may write and close, and has whatever becomes ready
    /// by them go on ``Loop/afterwards(_:)``.
    func receivedBytes(_ bytes: Span<UInt8>)
    /// Everything that was written has left for the kernel, after it had not at once.
    func writesDrained()
    /// The peer will send no more (`error` is nil), or the connection is broken. Told once; the socket stays open for
    /// writing until its owner closes it.
    func socketEnded(_ error: SystemError?)
}

/// A connected stream socket on a loop: edge-triggered, read as soon as there is something, written directly.
@safe package final class Socket {
    /// Receives in a row. A peer that sends faster than its bytes are worked on must not keep the loop to itself: what is more
    /// waits until all others have had a turn.
    static let maxReceives = 4
    /// From the start of the callback, how long a socket is received from once more, and a further record of TLS is decrypted. Bytes
    /// of small parts take far longer to work on than the same number of bytes in one.
    private static let maxReceiveTime = Interval(.microseconds(250))

    private enum Sending {
        case possible
        /// The kernel has refused to send, as it does when the connection is broken, after a part of what was written last.
        case broken
        /// The same, and it took not a byte of what was written last.
        case brokenWithNothingTaken
    }

    private enum Receiving {
        case on
        case paused
        /// The handler reads nothing, and wants to hear of the end.
        case pausedHearingEnd
    }

    let loop: Loop
    /// The same, for what every event does: a count of references is an atomic operation.
    private let runningLoop: Unmanaged<Loop>
    private(set) var fd: Int32
    private let reading = Event()
    /// Made when the kernel first takes less than it is offered, which most sockets never see.
    private var writing: Event?
    /// Whether the loop is to call ``resumeWork()``.
    private var isScheduled = false
    /// Whether ``isQuiet`` looks for the end, which is not put off for the sake of time.
    private var isBeingChecked = false
    /// Whether the loop is to call ``checkEnd()``.
    private var isToBeChecked = false
    /// When something was received last, and perhaps an error left behind it.
    private(set) var lastRead = Instant(nanoseconds: 0)
    private var sending = Sending.possible
    var unsent = WriteQueue()
    private var receiving = Receiving.on
    var mayHaveInput = false
    private(set) var hasEnded = false
    /// How much is received at once without TLS.
    private var readSize = ReadSize()
    /// What encrypts and decrypts; nil where the connection is plain. See `Socket+TLS.swift`.
    var tls: TLSSession?
    /// Told that something has come during a handshake, which is before there is a handler.
    var onInput: (() -> Void)?
    /// Whether the end of the stream is to follow what the kernel has not taken yet.
    var endsWhenFlushed = false

    /// The handler owns the socket. It is nil only before `startReading`.
    /// Not `weak`: an object that is referred to weakly counts its references the slow way, every one of them. A handler
    /// that goes away closes its socket first, which makes this nil.
    private unowned var handler: (any SocketHandler)?

    /// Takes over a connected, non-blocking descriptor; `close` or `deinit` closes it.
    init(adopting fd: Int32, on loop: Loop) {
        self.loop = loop
        unsafe runningLoop = Unmanaged.passUnretained(loop)
        self.fd = fd
        var one: Int32 = 1
        // Answers are written whole: waiting to fill a segment would only delay them.
        _ = unsafe setsockopt(fd, IPPROTO_TCP_LEVEL, TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
    }

    deinit { close() }

    package var isOpen: Bool { fd >= 0 }

    /// Whether the connection is broken and took not a byte of what was written last.
    package var hasTakenNothing: Bool { sending == .brokenWithNothingTaken }

    var isPaused: Bool { receiving != .on }

    /// The address of the other end; nil where it has none, as on a Unix socket.
    package var peer: SocketAddress? { SocketAddress(peerOf: fd) }

    /// Bytes written that the kernel has not taken yet.
    package var unsentBytes: Int { unsent.count + (tls?.unsentBytes ?? 0) }

    /// Whether the other end has all that was written, as far as its kernel tells. Costs a system call.
    package var isDelivered: Bool { unsentBytes == 0 && fd >= 0 && remora_unacknowledged(fd) == 0 }

    /// Begins to read and to tell `handler`.
    package func startReading(_ handler: any SocketHandler) {
        self.handler = handler
        if tls != nil {
            // Its events come since the handshake, and the peer may have said more behind it.
            mayHaveInput = true
            return readSoon()
        }
        watchInput()
    }

    /// Has the loop tell of input.
    func watchInput() {
        // Edge-triggered with `EV_CLOSED` (`EPOLLRDHUP`): a short read then proves that nothing more is to be read, because
        // an end of the stream is announced by itself. That saves the `recv` that would return `EAGAIN`. An error is not
        // announced so: `Loop.checkEnd(of:)` has it looked for.
        unsafe reading.assignEvent(
            loop.base, fd: fd, events: EV_READ | EV_CLOSED | EV_ET | EV_PERSIST,
            callback: { _, what, context in
                // Sound without references: the loop is running, and `socketIsReadable` holds the handler, which owns the socket,
                // and is the last to use it here.
                unsafe Unmanaged<Socket>.fromOpaque(context!)._withUnsafeGuaranteedRef { socket in
                    unsafe socket.runningLoop._withUnsafeGuaranteedRef { loop in
                        loop.runTurn { socket.socketIsReadable(untilEnd: what & EV_CLOSED != 0) }
                    }
                }
            },
            context: Unmanaged.passUnretained(self).toOpaque())
        reading.add()
    }

    // MARK: Reading

    /// Stops reading, so that the kernel's window closes and the peer has to wait.
    ///
    /// - Parameter hearingEnd: whether the handler is to be told that the peer has gone, though what the peer sent before is not
    ///   read then.
    package func pauseReading(hearingEnd: Bool = false) {
        receiving = hearingEnd ? .pausedHearingEnd : .paused
        // The end may have come with what is read now.
        if hearingEnd { checkEndSoon() }
    }

    /// Reads again, first what arrived meanwhile.
    package func resumeReading() {
        guard isPaused else { return }
        receiving = .on
        if mayHaveInput { readSoon() }
    }

    /// Reads when no bytes are borrowed.
    private func readSoon() {
        if isScheduled { return }
        isScheduled = true
        loop.afterwards(self)
    }

    /// Reads when the other sockets have had their turn.
    func readLater() {
        if isScheduled { return }
        isScheduled = true
        loop.nextTurn(self)
    }

    private func socketIsReadable(untilEnd: Bool) {
        // It may close the socket, and let go of it, while it is told.
        guard let handler else {
            onInput?()
            return
        }
        withExtendedLifetime(handler) { readBytes(for: handler, untilEnd: untilEnd) }
    }

    private func readBytes(for handler: any SocketHandler, untilEnd: Bool) {
        if let tls { return readRecords(tls, for: handler, untilEnd: untilEnd) }
        mayHaveInput = true
        let buffer = unsafe runningLoop._withUnsafeGuaranteedRef { unsafe $0.receiveBuffer }
        var receives = 0
        while fd >= 0, !hasEnded {
            if isPaused { return lookForEnd() }
            receives += 1
            if hasHadItsTurn(receives) || !loop.mayReceive { return readLater() }
            let size = readSize.bytes
            let count = unsafe recv(fd, buffer.baseAddress, size, 0)
            if count > 0 {
                let bytes = unsafe UnsafeBufferPointer(
                    start: buffer.baseAddress!.assumingMemoryBound(to: UInt8.self), count: count)
                let start = count < ReadSize.least ? loop.now : .now
                loop.lendBytes { handler.receivedBytes(unsafe bytes.span) }
                if count >= ReadSize.least { readSize.adapt(to: count, from: start, to: .now) }
                if count < size, !untilEnd {
                    checkEndSoon()
                    break
                }
            } else if count == 0 {
                return end(nil)
            } else if errno == EAGAIN {
                break
            } else if errno != EINTR {
                return end(SystemError("recv"))
            }
        }
        mayHaveInput = false
    }

    /// Whether other sockets are to be read before this one is received from once more.
    ///
    /// - Parameter receives: the one that is about to be made, counted from 1.
    func hasHadItsTurn(_ receives: Int) -> Bool {
        receives > Socket.maxReceives || receives > 1 && hasHadItsTime
    }

    /// Whether the callback has taken so long that others are to have their turn.
    var hasHadItsTime: Bool { !isBeingChecked && loop.now + Socket.maxReceiveTime < .now }

    func end(_ error: SystemError?) {
        hasEnded = true
        handler?.socketEnded(error)
    }

    /// The last read did not come to the end of what there is: see ``Loop/checkEnd(of:)``.
    func checkEndSoon() {
        lastRead = loop.now
        if isToBeChecked { return }
        isToBeChecked = true
        loop.checkEnd(of: self)
    }

    func checkEnd() {
        isToBeChecked = false
        guard fd >= 0, !hasEnded else { return }
        mayHaveInput = true
        socketIsReadable(untilEnd: true)
    }

    /// Whether the peer has gone, for a handler that reads nothing.
    func lookForEnd() {
        guard receiving == .pausedHearingEnd, fd >= 0, !hasEnded else { return }
        switch remora_end(fd) {
        case 0: break
        case 1: end(nil)
        default: end(SystemError("recv", code: ECONNRESET))
        }
    }

    /// The connection is broken, as the kernel says to one who writes. What the peer sent before can still be read.
    func breakOff(hasSent: Bool) {
        unsent = WriteQueue()
        sending = hasSent ? .broken : .brokenWithNothingTaken
        mayHaveInput = true
        readSoon()
    }

    /// Asks the kernel whether the connection stands and nothing has come on it, of which the loop may not have been told
    /// yet.
    package var isQuiet: Bool {
        guard fd >= 0 else { return false }
        if tls != nil {
            // What has come may be TLS's own, such as a ticket. Anything else is told to the handler.
            isBeingChecked = true
            socketIsReadable(untilEnd: true)
            isBeingChecked = false
            return fd >= 0 && !hasEnded
        }
        var byte: UInt8 = 0
        let count = unsafe recv(fd, &byte, 1, Int32(MSG_PEEK) | Int32(MSG_DONTWAIT))
        return count < 0 && errno == EAGAIN
    }

    // MARK: Writing

    /// Writes `bytes`, at once as far as the kernel takes them and the rest when it can. A broken connection is told
    /// by `socketEnded`, never here.
    package func write(_ bytes: [UInt8]) {
        guard fd >= 0, !bytes.isEmpty else { return }
        if let tls { return writeEncrypted(bytes, by: tls) }
        guard unsent.isEmpty else { return unsent.appendPart(bytes[...]) }
        let sent = unsafe bytes.withUnsafeBytes { unsafe send(fd, $0.baseAddress, $0.count, noSignal) }
        if sent == bytes.count { return }
        if sent < 0, errno != EAGAIN, errno != EINTR { return breakOff(hasSent: false) }
        unsent.appendPart(bytes[max(0, sent)...])
        waitUntilWritable()
    }

    /// Writes the parts in order with one system call and without joining them.
    package func write(_ parts: [ArraySlice<UInt8>]) {
        guard fd >= 0 else { return }
        let wasEmpty = unsentBytes == 0
        for part in parts where !part.isEmpty { unsent.appendPart(part) }
        if wasEmpty { flushQueue(hasSent: false) }
    }

    /// - Parameter hasSent: whether the kernel has taken a part of what is to be sent.
    private func flushQueue(hasSent: Bool) {
        if let tls { return flushRecords(tls) }
        var hasSent = hasSent
        while !unsent.isEmpty {
            let sent = unsent.sendParts(to: fd)
            if sent >= 0 {
                hasSent = true
                unsent.removeFirst(sent)
            } else if errno == EAGAIN {
                return waitUntilWritable()
            } else if errno != EINTR {
                return breakOff(hasSent: hasSent)
            }
        }
    }

    func waitUntilWritable() {
        if writing == nil {
            let event = Event()
            unsafe event.assignEvent(
                loop.base, fd: fd, events: EV_WRITE | EV_ET,
                callback: { _, _, context in
                    let socket = unsafe Unmanaged<Socket>.fromOpaque(context!).takeUnretainedValue()
                    socket.loop.runTurn { socket.socketIsWritable() }
                },
                context: Unmanaged.passUnretained(self).toOpaque())
            writing = event
        }
        writing?.add()
    }

    private func socketIsWritable() {
        guard fd >= 0 else { return }
        flushQueue(hasSent: true)
        guard unsentBytes == 0 else { return }
        if endsWhenFlushed { shutdownWriting() }
        handler?.writesDrained()
    }

    // MARK: Closing

    /// Sends the end of the stream after what was written; the peer may still send.
    package func shutdownWriting() {
        guard fd >= 0 else { return }
        if let tls, !end(tls) { return }
        _ = shutdown(fd, Int32(SHUT_WR))
    }

    /// Closes in the middle of something: over TLS, the peer can tell that it was not the end.
    package func abortConnection() {
        tls = nil
        close()
    }

    /// Closes at once; what was not sent yet is lost. Nothing is told to the handler afterwards.
    package func close() {
        guard fd >= 0 else { return }
        if let tls { sayGoodbye(tls) }
        reading.deleteEvent()
        writing?.deleteEvent()
        _ = Glibc.close(fd)
        fd = -1
        unsent = WriteQueue()
        tls = nil
        onInput = nil
        handler = nil
    }
}

extension Socket: Resumable {
    package func resumeWork() {
        isScheduled = false
        guard fd >= 0, !hasEnded else { return }
        if !isPaused { socketIsReadable(untilEnd: true) }
        // A handler that reads nothing has to hear of it all the same.
        if sending != .possible, isPaused, fd >= 0, !hasEnded { end(SystemError("send", code: EPIPE)) }
    }
}

let noSignal = Int32(MSG_NOSIGNAL)
let IPPROTO_TCP_LEVEL = Int32(IPPROTO_TCP)
