/// Who has a call: a loop of a replica. Sealed in `requestState`, it says where a retry belongs.
struct CallOwner: Equatable {
    /// The name of the replica; empty where it is the only one.
    let replica: String
    let loop: Int

    init(replica: String, loop: Int) {
        self.replica = replica
        self.loop = loop
    }

    /// `NAME/LOOP`: a name has no slash.
    var bytes: [UInt8] { Array("\(replica)/\(loop)".utf8) }

    /// Nil unless these are ``bytes`` of one.
    init?(_ bytes: [UInt8]) {
        let parts = bytes.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        guard parts.count == 2, let loop = Int(String(decoding: parts[1], as: UTF8.self)), loop >= 0 else { return nil }
        self.init(replica: String(decoding: parts[0], as: UTF8.self), loop: loop)
        guard self.bytes == bytes else { return nil }
    }
}
