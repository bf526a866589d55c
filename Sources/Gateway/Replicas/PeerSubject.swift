import Crypto
import HTTPWire

/// The field by which whoever passes a retry on tells whose certificate it came with. Of a client's own request it is
/// dropped, and only what a loop or a replica has brought is looked at for it.
enum PeerSubject {
    static let field: StaticString = "remora-client-subject"

    static func line(_ subject: [UInt8]) -> [(name: [UInt8], value: [UInt8])] {
        [(Array("\(field)".utf8), Base64URL.encode(subject))]
    }

    /// Nil where the client showed no certificate.
    static func read(_ head: HTTPRequestHead) -> [UInt8]? {
        head.fields.first(field).flatMap { Base64URL.decode($0.bytes) }
    }
}
