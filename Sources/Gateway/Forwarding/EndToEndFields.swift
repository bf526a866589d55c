import HTTPTransport
import HTTPWire

/// What of a head is passed on: a field that speaks of one connection ends with it (RFC 9110 §7.6.1).
enum EndToEndFields {
    /// The fields of a message that are to go on, in the order received.
    ///
    /// - Parameter isDropped: says of a field which is not to, for a reason of the caller's own.
    static func of(
        _ fields: HTTPFields, unless isDropped: (HTTPFieldValue) -> Bool
    ) -> [HTTPFields.FieldLine] {
        let named = namedByConnection(fields)
        return fields.all().filter { name, _ in
            !hopByHop.contains { name.equalsIgnoringCase($0) } && !named.contains { name.equalsIgnoringCase($0) }
                && !isDropped(name)
        }
    }

    /// The body's framing is the writer's own, and so is its length.
    private static let hopByHop: [StaticString] = [
        "connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "te", "trailer",
        "transfer-encoding", "upgrade", "content-length",
    ]

    /// What the sender itself says belongs to the connection.
    private static func namedByConnection(_ fields: HTTPFields) -> [[UInt8]] {
        fields.lines(named: connection).flatMap { _, value in
            value.bytes.split(separator: UInt8(ascii: ",")).map { member in
                member.filter { $0 != 0x20 && $0 != 0x09 }.map(\.lowercasedASCII)
            }
        }
    }

    private static let connection = Array("connection".utf8)
}
