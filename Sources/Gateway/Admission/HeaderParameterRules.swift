import HTTPWire
import JSONText
import Translation

/// Arguments that are repeated in headers must be the same there (2026-07-28, basic/transports/streamable-http, "Server
/// Behavior for Custom Headers").
enum HeaderParameterRules {
    static func check(
        _ request: ModernRequest, _ fields: HTTPFields, _ parameters: [HeaderParameter]
    ) throws(Refusal) {
        for parameter in parameters {
            let name = String(decoding: parameter.header, as: UTF8.self)
            let header = fields.first(named: parameter.header)
            guard let value = value(at: parameter.path, in: request), value.kind != .null else {
                if header == nil { continue }
                throw .headerMismatch("\(name) is sent, but the arguments have no such value.")
            }
            guard let header else {
                throw .headerMismatch("\(name) is missing. List the tools again, and send what inputSchema asks for.")
            }
            guard let text = HeaderRules.decode(header.bytes), equal(text, value, in: request.document) else {
                throw .headerMismatch("\(name) differs from the arguments. Send what the body says.")
            }
        }
    }

    private static func value(at path: [[UInt8]], in request: ModernRequest) -> JSONValue? {
        let document = request.document
        var value = document.value("arguments", of: request.params)
        for name in path {
            value = value.flatMap { object in
                document.members(of: object).first { Array(document.name(of: $0).utf8) == name }?.value
            }
        }
        return value
    }

    private static func equal(_ text: ArraySlice<UInt8>, _ value: JSONValue, in document: JSONDocument) -> Bool {
        switch value.kind {
        case .string: document.string(value, equals: text.span)
        case .number: integer(text) == integer(document.raw(value))
        case .boolean: text == document.raw(value)
        // Not what the schema says: the server will tell.
        case .object, .array, .null: true
        }
    }

    /// The digits of a number without the fraction `.0`, which is how `42.0` and `42` come to be equal.
    private static func integer(_ text: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        guard let point = text.firstIndex(of: UInt8(ascii: ".")), point > text.startIndex,
            text[(point + 1)...].allSatisfy({ $0 == UInt8(ascii: "0") })
        else { return text }
        return text[..<point]
    }
}
