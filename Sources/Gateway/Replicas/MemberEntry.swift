import Crypto
import Reactor

/// What a replica says of itself in the store: sealed for the name of its entry, and good for some seconds.
struct MemberEntry: Equatable {
    /// Of the layout.
    private static let version = "1"
    private static let maxHost = 255

    /// `replicas.id`.
    let name: String
    /// A host name, or a numeric address; an IPv6 address without its brackets.
    let host: String
    let port: UInt16
    /// Of the process, made at its start: two processes with one name are told apart by it.
    let process: String
    /// When it was sealed, in seconds since 1970. While a key is being changed, a replica can have two entries.
    let time: Int64

    /// The name of the entry in the store.
    static func entryName(of name: String, _ seal: Seal) -> [UInt8] {
        seal.storeName(of: Array("replica \(name)".utf8))
    }

    func sealedText(_ seal: Seal, entry: [UInt8], until expiry: UnixTime) -> [UInt8] {
        let lines = [MemberEntry.version, name, host, "\(port)", process, "\(time)"]
        return seal.sealPayload(Array(lines.joined(separator: "\n").utf8), for: .member, caller: entry, until: expiry)
    }

    /// - Returns: `nil` if no holder of the ring sealed it for this entry, or its time is over.
    static func openText(_ text: [UInt8], _ seal: Seal, entry: [UInt8], at now: UnixTime) -> MemberEntry? {
        guard let payload = try? seal.openText(text, for: .member, caller: entry, at: now) else { return nil }
        let lines = String(decoding: payload, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
            .map(String.init)
        guard lines.count == 6, lines[0] == version, isName(lines[1]), isHost(lines[2]), let port = UInt16(lines[3]),
            port != 0, lines[4].utf8.count <= 64, let time = Int64(lines[5])
        else { return nil }
        return MemberEntry(name: lines[1], host: lines[2], port: port, process: lines[4], time: time)
    }

    /// As the configuration has it.
    private static func isName(_ text: String) -> Bool {
        (1...32).contains(text.utf8.count)
            && text.utf8.allSatisfy { isAlphanumeric($0) || "-_.".utf8.contains($0) }
    }

    private static func isHost(_ text: String) -> Bool {
        (1...maxHost).contains(text.utf8.count)
            && text.utf8.allSatisfy { isAlphanumeric($0) || "-_.:".utf8.contains($0) }
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x61...0x7A).contains(byte | 0x20)
    }

    var member: ReplicaSettings.Member { ReplicaSettings.Member(name: name, endpoint: .host(host, port: port)) }
}
