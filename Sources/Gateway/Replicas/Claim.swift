import Crypto

/// Which loop has taken the answers to a round of questions, and with them the call, as the store has it: sealed for the name of its
/// entry.
struct Claim: Equatable {
    private enum Limit {
        static let version: UInt8 = 1
        static let owner = 64
        static let process = 64
    }

    /// The loop, as ``CallOwner`` spells it.
    let owner: [UInt8]
    /// ``MemberEntry/process`` of its process.
    let process: String
    /// How often the client had been asked. Whether the answers reached the server, only the loop knows.
    let round: Int
    let time: UnixTime

    /// The name of the entry of a call.
    static func entryName(of call: CallID, prefix: String) -> [UInt8] { call.entryName("call", prefix: prefix) }

    func sealedText(_ seal: Seal, entry: [UInt8], until expiry: UnixTime) -> [UInt8] {
        var out = FieldWriter()
        out.integer(Limit.version)
        out.bytes(owner)
        out.bytes(Array(process.utf8))
        out.integer(UInt16(clamping: round))
        out.integer(UInt64(bitPattern: time.seconds))
        return seal.sealPayload(out.text, for: .claim, caller: entry, until: expiry)
    }

    /// - Returns: `nil` if no holder of the ring sealed it for this entry, or its time is over.
    static func openText(_ text: [UInt8], _ seal: Seal, entry: [UInt8], at now: UnixTime) -> Claim? {
        guard let payload = try? seal.openText(text, for: .claim, caller: entry, at: now) else { return nil }
        var reader = FieldReader(payload)
        guard reader.integer(UInt8.self) == Limit.version, let owner = reader.bytes(atMost: Limit.owner),
            let process = reader.bytes(atMost: Limit.process), let round = reader.integer(UInt16.self),
            let time = reader.integer(UInt64.self), reader.isAtEnd
        else { return nil }
        return Claim(
            owner: owner, process: String(decoding: process, as: UTF8.self), round: Int(round),
            time: UnixTime(seconds: Int64(bitPattern: time)))
    }
}
