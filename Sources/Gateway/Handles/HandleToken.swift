import Crypto

/// What a client carries as a handle, before it is sealed and after it was opened: which loop of which replica has the session. When
/// it ends, and whose it is, says the seal.
///
/// Models copy handles from one text to another, so it is short: sealed, it has 128 characters at most where the replica's name has 27.
struct HandleToken: Equatable {
    let handle: CallID
    /// `Replicas.owner` of the loop that made it.
    let owner: [UInt8]

    private static let version: UInt8 = 1
    private static let maxOwner = 64

    init(handle: CallID, owner: [UInt8]) {
        self.handle = handle
        self.owner = owner
    }

    /// Each token has one encoding.
    func encoded() -> [UInt8] {
        // No peer can change this length: it is a name from the configuration.
        precondition(owner.count <= HandleToken.maxOwner)
        var out = FieldWriter()
        out.integer(HandleToken.version)
        out.fixed(handle.bytes)
        out.fixed(owner)
        return out.text
    }

    /// Nil unless the bytes are what ``encoded()`` makes.
    init?(_ bytes: [UInt8]) {
        var reader = FieldReader(bytes)
        guard reader.integer(UInt8.self) == HandleToken.version,
            let handle = reader.fixed(CallID.size).flatMap(CallID.init(bytes:)),
            let owner = reader.rest(atMost: HandleToken.maxOwner)
        else { return nil }
        self.init(handle: handle, owner: owner)
    }

    // MARK: Sealed

    /// - Parameters:
    ///   - caller: as of `Caller.identity`.
    ///   - expiry: when it is good no more.
    func sealed(for caller: [UInt8], until expiry: UnixTime, by seal: Seal) -> [UInt8] {
        seal.sealPayload(encoded(), for: .handle, caller: caller, until: expiry)
    }

    /// The token in a text; nil for one that is not this caller's, or not any more.
    init?(_ text: [UInt8], of caller: [UInt8], by seal: Seal, at now: UnixTime = .now) {
        guard let bytes = try? seal.openText(text, for: .handle, caller: caller, at: now) else { return nil }
        self.init(bytes)
    }
}
