/// The loop that has a call, and its replica. It is sealed in `requestState`, and retries are forwarded to it.
struct CallOwner: Equatable {
    /// The name of the replica; empty if there is only one.
    let replica: String
    let loop: Int

    init(replica: String, loop: Int) {
        self.replica = replica
        self.loop = loop
    }

    /// `NAME/LOOP`. A name contains no slash.
    var bytes: [UInt8] { Array("\(replica)/\(loop)".utf8) }

    /// `nil`: the bytes are not ``bytes`` of an owner.
    init?(_ bytes: [UInt8]) {
        let parts = bytes.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        guard parts.count == 2, let loop = Int(String(decoding: parts[1], as: UTF8.self)), loop >= 0 else { return nil }
        self.init(replica: String(decoding: parts[0], as: UTF8.self), loop: loop)
        guard self.bytes == bytes else { return nil }
    }
}
