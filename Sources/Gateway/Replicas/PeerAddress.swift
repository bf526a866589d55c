import HTTPTransport
import HTTPWire

/// The field with the address of the client in a forwarded retry. As with `PeerSubject`, it is removed from requests of
/// clients.
enum PeerAddress {
    static let field: StaticString = "remora-client-address"

    static func fieldLine(of client: HTTPServerConnection) -> [(name: [UInt8], value: [UInt8])] {
        client.clientAddress.map { [(Array("\(field)".utf8), Array($0.utf8))] } ?? []
    }

    /// `nil`: the client has no address, or the value is none.
    static func readAddress(_ head: HTTPRequestHead) -> String? {
        guard let value = head.fields.first(field),
            value.bytes.allSatisfy({
                (0x30...0x39).contains($0) || (0x61...0x66).contains($0) || ".:".utf8.contains($0)
            })
        else { return nil }
        return value.string
    }
}
