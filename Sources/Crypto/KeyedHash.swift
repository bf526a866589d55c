/// A keyed hash (HMAC-SHA-256) of a secret: equal for equal secrets, and no way back to them.
package struct KeyedHash: Hashable, Sendable {
    private let bytes: [UInt8]

    fileprivate init(bytes: [UInt8]) { self.bytes = bytes }

    /// Written out: other modules look up the compiler's own by the protocol, at each comparison.
    @inline(__always)
    package static func == (left: KeyedHash, right: KeyedHash) -> Bool { left.bytes == right.bytes }

    /// The hash that stands for the absence of a secret.
    package static let none = KeyedHash(bytes: [])

    /// Eight hexadecimal digits, enough to tell callers apart in a log; `-` where there is no secret.
    package var short: String {
        if bytes.isEmpty { return "-" }
        let digits = Array("0123456789abcdef".utf8)
        return String(
            decoding: bytes.prefix(4).flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }
}

/// The key of `KeyedHash`, random and of this process only.
package struct HashKey: Sendable {
    private let key: [UInt8]

    package init() { key = SecureRandom.bytes(32) }

    package func hash(_ secret: [UInt8]) -> KeyedHash {
        KeyedHash(bytes: SHA256.authenticationCode(secret, key: key))
    }
}
