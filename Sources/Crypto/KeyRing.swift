/// The keys behind what clients carry for Remora: the first seals, all open.
///
/// A key is changed without refusing what is under way in three steps, each made at all replicas before the next: the new
/// one is added behind the old one, put before it, and the old one is taken away once nothing that it sealed is valid.
package struct KeyRing: Sendable {
    /// A key, and the name by which a sealed text says that it was its.
    struct Key: Sendable {
        private let secret: [UInt8]

        init(_ secret: [UInt8]) { self.secret = secret }

        /// Four bytes that follow from the key, so that replicas agree on them without being told. Found anew each time:
        /// a Remora that seals nothing then never starts OpenSSL.
        var id: [UInt8] { Array(SHA256.derivedKey(from: secret, for: "remora key id").prefix(KeyRing.idSize)) }

        /// A key for one use only, so that what is learnt or lost of one use says nothing of another.
        func derivedKey(for use: String) -> [UInt8] { SHA256.derivedKey(from: secret, for: "remora \(use)") }
    }

    /// Keys that a ring may have: each is tried for whatever is to be opened.
    package static let maxKeys = 16
    /// Bytes of a key.
    package static let keySize = AESGCM.keySize
    package static let idSize = 4

    private let keys: [Key]

    /// - Parameter keys: at least one, each of ``keySize`` random bytes, and secret.
    package init(_ keys: [[UInt8]]) {
        // The configuration makes no ring without keys.
        precondition(!keys.isEmpty, "a ring without keys can seal nothing")
        // A file with a key of another size is refused.
        precondition(keys.allSatisfy { $0.count == KeyRing.keySize }, "a key has \(KeyRing.keySize) bytes")
        self.keys = keys.map { Key($0) }
    }

    /// Its key seals, and names what is in a store.
    var sealing: Key { keys[0] }

    func key(withID id: ArraySlice<UInt8>) -> Key? { keys.first { id.elementsEqual($0.id) } }
}
