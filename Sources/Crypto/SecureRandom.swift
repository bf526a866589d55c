internal import Glibc

/// Random bytes from the kernel, which cannot be guessed.
///
/// OpenSSL's generator would do as well, but starting it costs 2 MB that a Remora without credentials never needs.
package enum SecureRandom {
    /// - Parameter count: at most 256, what the kernel gives at once.
    package static func bytes(_ count: Int) -> [UInt8] {
        // All sizes are constants.
        precondition(count <= 256, "more random bytes than the kernel gives at once")
        var bytes = [UInt8](repeating: 0, count: count)
        let failure = unsafe getentropy(&bytes, count)
        // Of so few bytes it fails only where the kernel lacks the call (getentropy(3)), so from the start.
        precondition(failure == 0, "the kernel has no randomness: the system cannot be used safely")
        return bytes
    }
}
