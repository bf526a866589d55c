internal import COpenSSL

/// Random bytes that nobody can guess.
package enum SecureRandom {
    package static func bytes(_ count: Int) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        let success = unsafe RAND_bytes(&bytes, Int32(count))
        precondition(success == 1, "OpenSSL has no randomness: the system cannot be used safely")
        return bytes
    }
}
