import Crypto

extension CallID {
    /// The name of an entry of the store about what has this id. The id is what makes it a secret: 128 random bits that only sealed texts
    /// have. A key of the ring would not do: replicas whose rings are being changed have to find one entry.
    ///
    /// - Parameters:
    ///   - kind: of the entry, as its name begins: letters.
    ///   - prefix: of what Remora has in the store.
    func entryName(_ kind: StaticString, prefix: String) -> [UInt8] {
        let digest = SHA256.digest(Array("remora \(kind) ".utf8) + bytes)
        return Array("\(prefix)\(kind):".utf8) + Base64URL.encodeBytes(Array(digest.prefix(CallID.size)))
    }
}
