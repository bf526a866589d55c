import Crypto
import Legacy
import MCP

/// A shared session as the store has it: sealed for the name of its entry.
enum SharedSessionEntry {
    private static let version: UInt8 = 1
    /// How long a sealed text opens. The store forgets an entry that is not renewed long before; a session that is used for longer is
    /// replaced by the next replica that comes to it.
    private static let lifetime: Duration = .seconds(30 * 86_400)

    /// Bytes of all fields. What servers say of themselves takes some KiB; and two sealed texts have to fit into one command.
    private static let maxFields = 22_000
    /// Bytes of a sealed text of as many fields.
    static let maxText = 30_000
    /// As `StreamableHTTP` takes it.
    private static let maxID = 4096

    /// - Returns: nil where it is larger than what is put into a store: then it is not shared.
    static func sealedText(_ session: SharedSession, _ seal: Seal, entry: [UInt8], at now: UnixTime) -> [UInt8]? {
        let fields = [session.server, session.target, session.id, session.cookies, session.handshake]
        guard fields.reduce(0, { $0 + $1.count }) <= maxFields, (1...maxID).contains(session.id.count) else {
            return nil
        }
        var writer = FieldWriter()
        writer.integer(version)
        writer.integer(UInt8(session.hasStream ? 1 : 0))
        writer.bytes(Array(session.revision.rawValue.utf8))
        for field in fields { writer.bytes(field) }
        return seal.sealPayload(writer.text, for: .session, caller: entry, until: now + lifetime)
    }

    /// - Returns: nil where no holder of the ring sealed it for this entry.
    static func openText(_ text: [UInt8], _ seal: Seal, entry: [UInt8], at now: UnixTime) -> SharedSession? {
        guard let payload = try? seal.openText(text, for: .session, caller: entry, at: now) else { return nil }
        var reader = FieldReader(payload)
        guard reader.integer(UInt8.self) == version, let stream = reader.integer(UInt8.self), stream <= 1,
            let name = reader.bytes(atMost: 16),
            let revision = Revision(rawValue: String(decoding: name, as: UTF8.self)),
            !revision.isModern, let server = reader.bytes(atMost: maxFields),
            let target = reader.bytes(atMost: maxFields), let id = reader.bytes(atMost: maxID),
            let cookies = reader.bytes(atMost: maxFields), let handshake = reader.bytes(atMost: maxFields),
            reader.isAtEnd, isWord(target), target.first == UInt8(ascii: "/"), !id.isEmpty, isWord(id)
        else { return nil }
        return SharedSession(
            server: server, target: target, id: id, cookies: cookies, revision: revision, handshake: handshake,
            hasStream: stream == 1)
    }

    /// Whether it is visible ASCII: it goes into heads.
    private static func isWord(_ text: [UInt8]) -> Bool { text.allSatisfy { (0x21...0x7E).contains($0) } }
}
