internal import COpenSSL

/// TLS on one connection, without its socket: what the peer sent goes in, what is to be sent comes out. It has no I/O.
///
/// It belongs to one loop.
@safe package final class TLSSession {
    /// What became of a step.
    package enum Progress: Equatable {
        case done
        /// Goes on with more from the peer.
        case needsInput
        case failed(TLSError)
    }

    package enum Reading: Equatable {
        case bytes(Int)
        /// A record that held none of the peer's bytes, but something of TLS's own, such as a change of keys.
        case control
        case needsInput
        /// The peer has said that it will send no more (close_notify).
        case ended
        case failed(TLSError)
    }

    /// The most that one record holds (RFC 8446 §5.1).
    package static let maxRecord = 16 * 1024
    /// Records without a byte of the peer's in a row. A server sends a few tickets and a peer changes its keys now and then; a
    /// peer that does nothing else makes this side derive keys without end.
    private static let maxControlRecords = 32
    /// A buffer for what is to be sent that is kept for the next time.
    private static let maxKeptCapacity = 4 * 1024

    private let ssl: OpaquePointer
    private let context: TLSContext
    private let tickets: TLSTickets?
    /// What the caller has received, as far as it has not been read; valid until `stashInput`.
    private var input = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
    /// What had to be kept of it.
    private var stashed: [UInt8] = []
    private var stashedOffset = 0
    /// Records that wait to be sent.
    package private(set) var output: [UInt8] = []
    private var outputOffset = 0
    /// Whether the peer has sent anything.
    package private(set) var hasHeard = false
    private var isBroken = false
    /// Records that held none of the peer's bytes, since the last that did.
    private var controlRecords = 0
    /// Whether nothing more will be written.
    private var hasEnded = false

    /// As a server.
    package convenience init(server context: TLSContext) {
        self.init(context, tickets: nil)
        unsafe SSL_set_accept_state(ssl)
    }

    /// As a client, of a server whose certificate must be for `name`.
    ///
    /// - Parameter tickets: kept of earlier connections to the same server, by the same context.
    package convenience init(client context: TLSContext, name: TLSServerName, tickets: TLSTickets) {
        self.init(context, tickets: tickets)
        unsafe SSL_set_connect_state(ssl)
        let isSet: Int32
        switch name {
        case .name(let name):
            unsafe SSL_set_hostflags(ssl, UInt32(X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS))
            isSet = unsafe SSL_set1_host(ssl, name) & remora_SSL_set_tlsext_host_name(ssl, name)
        case .address(let address):
            // No name is asked for by an address (RFC 6066 §3).
            isSet = unsafe X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), address)
        }
        // The name is of the configuration, which has checked it.
        precondition(isSet == 1, "OpenSSL took no name of a server")
        unsafe tickets.useTicket { _ = unsafe SSL_set_session(ssl, $0) }
    }

    private init(_ context: TLSContext, tickets: TLSTickets?) {
        self.context = context
        self.tickets = tickets
        // Memory is all that it needs: nothing of the peer has been read.
        guard let ssl = unsafe SSL_new(context.pointer) else { preconditionFailure("SSL_new: out of memory") }
        unsafe self.ssl = ssl
        // Memory is all that it needs.
        guard let carrier = unsafe BIO_new(TLSCarrier.method) else { preconditionFailure("BIO_new: out of memory") }
        // Neither is used after `deinit`, which frees both: no retain is needed.
        unsafe BIO_set_data(carrier, Unmanaged.passUnretained(self).toOpaque())
        unsafe SSL_set_bio(ssl, carrier, carrier)
        _ = unsafe SSL_set_ex_data(ssl, 0, Unmanaged.passUnretained(self).toOpaque())
    }

    deinit { unsafe SSL_free(ssl) }

    // MARK: What the peer sent

    /// Takes what was received. It must stay where it is until all of it is read (`needsInput`) or `stashInput` is called.
    package func receiveRecords(_ bytes: UnsafeRawBufferPointer) {
        hasHeard = true
        // What came before and has not been read goes first.
        stashInput()
        if stashed.isEmpty { unsafe input = bytes } else { unsafe stashed += bytes }
    }

    /// Keeps what has not been read yet.
    package func stashInput() {
        if unsafe !input.isEmpty { unsafe stashed += input }
        unsafe input = UnsafeRawBufferPointer(start: nil, count: 0)
    }

    /// Whether something was received that has not been read.
    package var hasInput: Bool { unsafe !input.isEmpty || !stashed.isEmpty }

    fileprivate func takeInput(into buffer: UnsafeMutableRawBufferPointer) -> Int {
        if !stashed.isEmpty {
            let count = min(buffer.count, stashed.count - stashedOffset)
            unsafe stashed.withUnsafeBytes {
                unsafe buffer.copyMemory(from: .init(rebasing: $0[stashedOffset..<(stashedOffset + count)]))
            }
            stashedOffset += count
            if stashedOffset == stashed.count { (stashed, stashedOffset) = ([], 0) }
            return count
        }
        let count = unsafe min(buffer.count, input.count)
        unsafe buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: input.prefix(count)))
        unsafe input = UnsafeRawBufferPointer(rebasing: input.dropFirst(count))
        return count
    }

    // MARK: What is to be sent

    /// Bytes of it.
    package var unsentBytes: Int { output.count - outputOffset }

    /// Offers what is to be sent; `send` returns how much it took, or -1.
    package func flushOutput(_ send: (UnsafeRawBufferPointer) -> Int) -> Int {
        let sent = unsafe output.withUnsafeBytes { unsafe send(UnsafeRawBufferPointer(rebasing: $0[outputOffset...])) }
        if sent > 0 { outputOffset += sent }
        if outputOffset == output.count {
            output.removeAll(keepingCapacity: output.capacity <= TLSSession.maxKeptCapacity)
            outputOffset = 0
        }
        return sent
    }

    /// Nothing is sent any more. What the peer has said before can still be read.
    package func discardOutput() {
        hasEnded = true
        (output, outputOffset) = ([], 0)
    }

    fileprivate func putOutput(_ bytes: UnsafeRawBufferPointer) { unsafe output += bytes }

    // MARK: Steps

    /// Goes on with the handshake.
    package func continueHandshake() -> Progress {
        OpenSSLQueue.clearErrors()
        let result = unsafe SSL_do_handshake(ssl)
        if result == 1 {
            if let tickets, !isResumed { tickets.noteVerification() }
            return .done
        }
        switch unsafe SSL_get_error(ssl, result) {
        case SSL_ERROR_WANT_READ where !hasInput: return .needsInput
        case SSL_ERROR_ZERO_RETURN:
            isBroken = true
            return .failed(TLSError("the peer ended the handshake", isRefusal: true))
        default: return .failed(failureError(isHandshake: true))
        }
    }

    /// Decrypts what was received, one record at the most.
    ///
    /// - Parameter buffer: of ``maxRecord`` bytes or more.
    package func readRecord(into buffer: UnsafeMutableRawBufferPointer) -> Reading {
        if isBroken { return .failed(TLSError("it has failed before")) }
        OpenSSLQueue.clearErrors()
        let result = unsafe SSL_read(ssl, buffer.baseAddress, Int32(buffer.count))
        if result > 0 {
            controlRecords = 0
            return .bytes(Int(result))
        }
        switch unsafe SSL_get_error(ssl, result) {
        case SSL_ERROR_WANT_READ where !hasInput: return .needsInput
        case SSL_ERROR_WANT_READ:
            controlRecords += 1
            if controlRecords <= TLSSession.maxControlRecords { return .control }
            isBroken = true
            return .failed(TLSError("the peer changes its keys all the time", isRefusal: false))
        case SSL_ERROR_ZERO_RETURN: return .ended
        default: return .failed(failureError(isHandshake: false))
        }
    }

    /// Encrypts `bytes`, into records of ``maxRecord`` at the most. After a failure it does nothing.
    package func writeText(_ bytes: UnsafeRawBufferPointer) {
        guard !isBroken, !hasEnded else { return }
        OpenSSLQueue.clearErrors()
        let result = unsafe SSL_write(ssl, bytes.baseAddress, Int32(bytes.count))
        // The carrier takes everything: what fails here has failed before, and is told by reading.
        if result <= 0 { hasEnded = true }
    }

    /// Says that nothing more will be written (close_notify). Harmless where nothing can be said.
    package func endOutput() {
        guard !isBroken, !hasEnded, unsafe SSL_is_init_finished(ssl) == 1 else { return }
        hasEnded = true
        OpenSSLQueue.clearErrors()
        _ = unsafe SSL_shutdown(ssl)
    }

    private func failureError(isHandshake: Bool) -> TLSError {
        isBroken = true
        let error = unsafe TLSError.lastError(ofServer: context.isServer, verification: Int(SSL_get_verify_result(ssl)))
        OpenSSLQueue.clearErrors()
        return isHandshake ? TLSError(error.reason, isRefusal: true) : error
    }

    // MARK: What was agreed on

    /// The names of the subject of the peer's certificate, which was verified; nil where it showed none.
    package var peerSubject: [UInt8]? {
        guard let pointer = unsafe SSL_get1_peer_certificate(ssl) else { return nil }
        return unsafe Certificate(adopting: pointer).subject
    }

    /// `TLSv1.3`, `TLSv1.2`.
    package var version: String { unsafe String(cString: SSL_get_version(ssl)) }

    /// Whether the handshake was spared by a ticket.
    package var isResumed: Bool { unsafe SSL_session_reused(ssl) == 1 }

    /// The protocol of ALPN; empty where none was agreed on.
    package var applicationProtocol: String {
        var name: UnsafePointer<UInt8>?
        var count: UInt32 = 0
        unsafe SSL_get0_alpn_selected(ssl, &name, &count)
        return unsafe String(decoding: UnsafeBufferPointer(start: name, count: Int(count)), as: UTF8.self)
    }

    /// Keeps a ticket that came.
    static let gotTicket: @convention(c) (OpaquePointer?, OpaquePointer?) -> Int32 = { ssl, ticket in
        guard let data = unsafe SSL_get_ex_data(ssl, 0), let ticket = unsafe ticket else { return 0 }
        let session = unsafe Unmanaged<TLSSession>.fromOpaque(data).takeUnretainedValue()
        guard let tickets = session.tickets else { return 0 }
        // Returning 1 takes over the reference.
        unsafe tickets.keepTicket(ticket)
        return 1
    }
}

/// What a server's certificate has to be for.
package enum TLSServerName: Sendable, Equatable {
    /// A name of DNS, which the server is also told (SNI).
    case name(String)
    /// A numeric address.
    case address(String)
}

/// OpenSSL's way to the peer: it takes what a session has received, and leaves what is to be sent with it.
private enum TLSCarrier {
    nonisolated(unsafe) static let method: OpaquePointer = {
        let kind = BIO_get_new_index() | BIO_TYPE_SOURCE_SINK
        guard let method = unsafe BIO_meth_new(kind, "remora") else {
            // Made once in a process, and memory is all that it needs.
            preconditionFailure("BIO_meth_new: out of memory")
        }
        unsafe BIO_meth_set_read(method) { bio, buffer, count in
            let taken = unsafe carriedSession(of: bio).takeInput(
                into: UnsafeMutableRawBufferPointer(start: buffer, count: Int(count)))
            unsafe remora_BIO_clear_retry_flags(bio)
            if taken > 0 { return Int32(taken) }
            unsafe remora_BIO_set_retry_read(bio)
            return -1
        }
        unsafe BIO_meth_set_write(method) { bio, buffer, count in
            unsafe carriedSession(of: bio).putOutput(UnsafeRawBufferPointer(start: buffer, count: Int(count)))
            unsafe remora_BIO_clear_retry_flags(bio)
            return count
        }
        unsafe BIO_meth_set_ctrl(method) { _, command, _, _ in command == BIO_CTRL_FLUSH ? 1 : 0 }
        unsafe BIO_meth_set_create(method) { bio in
            unsafe BIO_set_init(bio, 1)
            return 1
        }
        return unsafe method
    }()

    private static func carriedSession(of bio: OpaquePointer?) -> TLSSession {
        unsafe Unmanaged<TLSSession>.fromOpaque(BIO_get_data(bio)!).takeUnretainedValue()
    }
}
