import HTTPTransport
import HTTPWire

/// The fields of a head that are forwarded. Fields about the connection are not (RFC 9110 §7.6.1).
enum EndToEndFields {
    /// The fields of a message to forward, in their order.
    ///
    /// - Parameter isDropped: whether to drop a further field.
    static func forwardedFields(
        _ fields: HTTPFields, unless isDropped: (HTTPFieldValue) -> Bool
    ) -> [HTTPFields.FieldLine] {
        let named = namedByConnection(fields)
        return fields.all().filter { name, _ in
            !hopByHop.contains { name.equalsIgnoringCase($0) } && !named.contains { name.equalsIgnoringCase($0) }
                && !isDropped(name)
        }
    }

    /// Includes the fields of the body's framing, which the writer of the message adds anew.
    private static let hopByHop: [StaticString] = [
        "connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "te", "trailer",
        "transfer-encoding", "upgrade", "content-length",
    ]

    /// The fields that the sender names as fields of the connection.
    private static func namedByConnection(_ fields: HTTPFields) -> [[UInt8]] {
        fields.lines(named: connection).flatMap { _, value in
            value.bytes.split(separator: UInt8(ascii: ",")).map { member in
                member.filter { $0 != 0x20 && $0 != 0x09 }.map(\.lowercasedASCII)
            }
        }
    }

    private static let connection = Array("connection".utf8)
}
