internal import COpenSSL

/// SHA-256 (FIPS 180-4) and what is built on it: HMAC (RFC 2104) and the derivation of keys (RFC 5869).
package enum SHA256 {
    /// Bytes of every result.
    package static let size = 32

    package static func digest(_ bytes: [UInt8]) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: size)
        var length: UInt32 = 0
        let done = unsafe EVP_Digest(bytes, bytes.count, &digest, &length, EVP_sha256(), nil)
        // Every text has a digest. OpenSSL 3 has SHA-256, unless the system's own openssl.cnf takes it away.
        precondition(done == 1 && length == size, "OpenSSL could not compute SHA-256")
        return digest
    }

    /// The message authentication code of `message`.
    static func authenticationCode(_ message: [UInt8], key: [UInt8]) -> [UInt8] {
        var code = [UInt8](repeating: 0, count: size)
        var length: UInt32 = 0
        let done = unsafe HMAC(EVP_sha256(), key, Int32(key.count), message, message.count, &code, &length)
        // The same of HMAC: keys have 32 bytes, whatever the message.
        precondition(unsafe done != nil && length == size, "OpenSSL could not compute HMAC-SHA-256")
        return code
    }

    /// A key of its own for one use of a random key: the expansion of HKDF, of which one round gives all 32 bytes. The
    /// extraction before it would only make a uniform key of one that is not (RFC 5869 §3.3).
    ///
    /// - Parameter use: different for each use.
    static func derivedKey(from key: [UInt8], for use: String) -> [UInt8] {
        authenticationCode(Array(use.utf8) + [1], key: key)
    }
}
