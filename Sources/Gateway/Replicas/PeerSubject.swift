import Crypto
import HTTPWire

/// The field with the subject of the client's certificate in a forwarded retry. It is removed from requests of clients,
/// and read only in requests that a loop or a replica has forwarded.
enum PeerSubject {
    static let field: StaticString = "remora-client-subject"

    static func fieldLine(_ subject: [UInt8]) -> [(name: [UInt8], value: [UInt8])] {
        [(Array("\(field)".utf8), Base64URL.encodeBytes(subject))]
    }

    /// `nil`: the client has shown no certificate.
    static func readSubject(_ head: HTTPRequestHead) -> [UInt8]? {
        head.fields.first(field).flatMap { Base64URL.decodeText($0.bytes) }
    }
}
