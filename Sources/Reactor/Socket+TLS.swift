internal import Crypto
internal import Glibc

// TLS between the kernel and the handler. The session has no I/O: what `recv` brings goes into it, and what comes out of it
// is sent here. So a socket reads 64 KiB with one system call, and its readiness is the kernel's as it is without TLS.
//
// What is written waits as it was written, and is encrypted when the kernel takes it: a large answer is held once.

extension Socket {
    /// Records that are made before they are offered to the kernel.
    private static let recordsAtOnce = 4
    /// Records that are read in a turn of the loop. What fills that many costs a millisecond; a peer that sends small ones
    /// without end must not keep the loop to itself.
    private static let maxRecords = 256

    /// The names of the subject of the peer's verified certificate; nil where there is none.
    package var peerSubject: [UInt8]? { tls?.peerSubject }

    // MARK: The handshake

    /// Puts TLS on a socket that was not started.
    ///
    /// - Parameter onInput: called when `shakeHands` can go on. It does no more than note that.
    func beginTLS(by session: TLSSession, onInput: @escaping () -> Void) {
        tls = session
        self.onInput = onInput
        watchInput()
    }

    /// Goes on with the handshake as far as what has come allows.
    func shakeHands() -> TLSSession.Progress {
        guard let tls, fd >= 0, loop.mayReceive else { return .failed(.unfinished) }
        let buffer = unsafe loop.receiveBuffer
        while true {
            let progress = tls.continueHandshake()
            _ = sendRecords(tls)
            guard progress == .needsInput else {
                tls.stashInput()
                if progress == .done { onInput = nil }
                return progress
            }
            let count = unsafe recv(fd, buffer.baseAddress, buffer.count, 0)
            if count > 0 {
                unsafe tls.receiveRecords(UnsafeRawBufferPointer(rebasing: buffer.prefix(count)))
            } else if count == 0 {
                return .failed(tls.hasHeard ? .unfinished : .silent)
            } else if errno == EAGAIN {
                return .needsInput
            } else if errno != EINTR {
                return .failed(tls.hasHeard ? .unfinished : .silent)
            }
        }
    }

    // MARK: Reading

    func readRecords(_ tls: TLSSession, for handler: any SocketHandler, untilEnd: Bool) {
        mayHaveInput = true
        let buffer = unsafe loop.receiveBuffer
        var receives = 0
        var records = 0
        while fd >= 0, !hasEnded {
            if !loop.mayReceive { return readLater() }
            if isPaused { return lookForEnd() }
            if tls.hasInput {
                guard decryptRecords(tls, for: handler, &records) else { return }
            }
            if isPaused { return lookForEnd() }
            receives += 1
            if hasHadItsTurn(receives) { return readLater() }
            let count = unsafe recv(fd, buffer.baseAddress, buffer.count, 0)
            if count > 0 {
                unsafe tls.receiveRecords(UnsafeRawBufferPointer(rebasing: buffer.prefix(count)))
                guard decryptRecords(tls, for: handler, &records) else { return }
                if count < buffer.count, !untilEnd {
                    checkEndSoon()
                    break
                }
            } else if count == 0 {
                return end(SystemError(.truncated))
            } else if errno == EAGAIN {
                break
            } else if errno != EINTR {
                return end(SystemError("recv"))
            }
        }
        mayHaveInput = false
    }

    /// Tells the handler what was received. Returns false when that was not all, because it paused, the stream ended, or there
    /// is more than one turn reads.
    private func decryptRecords(_ tls: TLSSession, for handler: any SocketHandler, _ records: inout Int) -> Bool {
        // The loop's buffer is another socket's next.
        defer { tls.stashInput() }
        let buffer = unsafe loop.plainBuffer
        while !isPaused {
            records += 1
            if records > Socket.maxRecords || records > 1 && hasHadItsTime {
                readLater()
                return false
            }
            switch unsafe tls.readRecord(into: buffer) {
            case .bytes(let count):
                let bytes = unsafe UnsafeBufferPointer(
                    start: buffer.baseAddress!.assumingMemoryBound(to: UInt8.self), count: count)
                loop.lendBytes { handler.receivedBytes(unsafe bytes.span) }
                guard fd >= 0, !hasEnded else { return false }
                // The buffer holds any record: what has not been read is in the session's input. To ask once more costs as
                // much as a small record.
                if !tls.hasInput, !isPaused { return true }
            case .control:
                break
            case .needsInput:
                // Answers of TLS itself, such as to a change of keys.
                if tls.unsentBytes > 0 { _ = sendRecords(tls) }
                return true
            case .ended:
                tls.stashInput()
                end(nil)
                return false
            case .failed(let error):
                tls.stashInput()
                _ = sendRecords(tls)
                end(SystemError(error))
                return false
            }
        }
        return false
    }

    // MARK: Writing

    func writeEncrypted(_ bytes: [UInt8], by tls: TLSSession) {
        if unsentBytes > 0 { return unsent.appendPart(bytes[...]) }
        guard bytes.count <= TLSSession.maxRecord else {
            unsent.appendPart(bytes[...])
            return flushRecords(tls)
        }
        unsafe bytes.withUnsafeBytes { unsafe tls.writeText($0) }
        _ = sendRecords(tls)
    }

    func flushRecords(_ tls: TLSSession) {
        while sendRecords(tls), !unsent.isEmpty {
            for _ in 0..<Socket.recordsAtOnce where !unsent.isEmpty {
                unsafe unsent.takeBytes(upTo: TLSSession.maxRecord) { unsafe tls.writeText($0) }
            }
        }
    }

    /// Sends records that are made. Returns whether the kernel took all of them.
    private func sendRecords(_ tls: TLSSession) -> Bool {
        let all = tls.unsentBytes
        while tls.unsentBytes > 0 {
            let sent = unsafe tls.flushOutput { unsafe send(fd, $0.baseAddress, $0.count, noSignal) }
            if sent >= 0 || errno == EINTR { continue }
            if errno == EAGAIN {
                waitUntilWritable()
            } else {
                let hasSent = tls.unsentBytes < all
                tls.discardOutput()
                breakOff(hasSent: hasSent)
            }
            return false
        }
        return true
    }

    // MARK: The end

    /// Ends TLS's stream. Returns false when the kernel did not take that at once; `endsWhenFlushed` is set then.
    func end(_ tls: TLSSession) -> Bool {
        tls.endOutput()
        endsWhenFlushed = !sendRecords(tls)
        return !endsWhenFlushed
    }

    /// Says that the end is meant, if everything before it has been said and the kernel takes it at once.
    func sayGoodbye(_ tls: TLSSession) {
        guard unsentBytes == 0 else { return }
        tls.endOutput()
        if tls.unsentBytes > 0 { _ = unsafe tls.flushOutput { unsafe send(fd, $0.baseAddress, $0.count, noSignal) } }
    }
}
