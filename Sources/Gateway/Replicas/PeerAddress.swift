import HTTPTransport
import HTTPWire

/// The field in which a loop or a replica tells the address of the client whose retry it passes on. As `PeerSubject`, it is dropped of a
/// client's own request.
enum PeerAddress {
    static let field: StaticString = "remora-client-address"

    static func line(of client: HTTPServerConnection) -> [(name: [UInt8], value: [UInt8])] {
        client.clientAddress.map { [(Array("\(field)".utf8), Array($0.utf8))] } ?? []
    }

    /// Nil where the client has none, or what is told is none.
    static func read(_ head: HTTPRequestHead) -> String? {
        guard let value = head.fields.first(field),
            value.bytes.allSatisfy({
                (0x30...0x39).contains($0) || (0x61...0x66).contains($0) || ".:".utf8.contains($0)
            })
        else { return nil }
        return value.string
    }
}
