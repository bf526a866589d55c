internal import COpenSSL

/// Why TLS with a peer failed.
package struct TLSError: Error, Equatable {
    /// For a person: what was wrong, in OpenSSL's words where it has any. It holds nothing that is secret.
    package let reason: String
    /// Whether the peer ended the handshake, or we did: nothing that was written has reached its receiver.
    package let isRefusal: Bool

    init(_ reason: String, isRefusal: Bool = false) {
        self.reason = reason
        self.isRefusal = isRefusal
    }

    /// The connection ended, and TLS had not: who cuts the wire could have made that end.
    package static let truncated = TLSError("the connection ended without TLS's end (close_notify)")

    /// The client went away without a word, as probes of a balancer do that only connect.
    package static let silent = TLSError("the connection ended before a handshake", isRefusal: true)
    package static let unfinished = TLSError("the connection ended during the handshake", isRefusal: true)
    package static let late = TLSError("the handshake took longer than limits.header_timeout", isRefusal: true)

    /// Alerts by which a peer says that it does not want this certificate, these parameters or this name (RFC 8446 §6.2).
    private static let refusals: Set<Int32> = [
        40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 70, 71, 86, 109, 112, 115, 116, 120,
    ]
    /// What OpenSSL adds to the number of an alert that a peer sent, to make it a reason.
    private static let alertOffset: Int32 = 1000

    /// What OpenSSL's queue says of the operation that just failed.
    static func lastError(ofServer isServer: Bool, verification: Int) -> TLSError {
        let code = ERR_peek_last_error()
        let reason = Int32(truncatingIfNeeded: ERR_GET_REASON(code))
        let peer = isServer ? "client" : "server"
        switch reason {
        case SSL_R_CERTIFICATE_VERIFY_FAILED:
            let words = unsafe String(cString: X509_verify_cert_error_string(verification))
            return TLSError("the \(peer)'s certificate was refused: \(words)", isRefusal: true)
        case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
            return TLSError("the client sent no certificate", isRefusal: true)
        case SSL_R_HTTP_REQUEST, SSL_R_HTTPS_PROXY_REQUEST:
            return TLSError("plain HTTP came where TLS is spoken", isRefusal: true)
        case SSL_R_WRONG_VERSION_NUMBER:
            return TLSError("what the \(peer) sent is not TLS", isRefusal: true)
        case alertOffset...:
            let words = OpenSSLQueue.errorWords(for: code)
            return TLSError("the \(peer) refused: \(words)", isRefusal: refusals.contains(reason - alertOffset))
        default:
            return TLSError(OpenSSLQueue.errorWords(for: code))
        }
    }
}

/// OpenSSL's errors: a queue of each thread.
enum OpenSSLQueue {
    /// Empties the queue: what stands in it is taken for the next operation's otherwise.
    static func clearErrors() { ERR_clear_error() }

    /// OpenSSL's own words, without places in its source.
    static func errorWords(for code: UInt) -> String {
        if let words = unsafe ERR_reason_error_string(code) { return unsafe String(cString: words) }
        return code == 0 ? "no reason given" : "error \(code)"
    }

    /// Of the error that came last; the queue is empty then.
    static func takeWords() -> String {
        defer { clearErrors() }
        return errorWords(for: ERR_peek_last_error())
    }
}
