import Crypto
import HTTPWire
import JSONText
import MCP

/// The headers that mirror the body (2026-07-28, basic/transports/streamable-http, "Request Metadata"): a proxy that routes by a
/// header and a server that acts on the body must see the same request.
enum HeaderRules {
    /// - Parameters:
    ///   - toleratesOlderVersion: whether the header may name an older revision than the body.
    ///   - version: the protocol version in `_meta`, if it is there and a string.
    ///   - parameter: the member of `params` that `Mcp-Name` mirrors, if the method has one.
    static func checkStandardHeaders(
        _ fields: HTTPFields, against envelope: Envelope, version: JSONValue?, method: JSONValue,
        named parameter: StaticString?, toleratesOlderVersion: Bool = false
    ) throws(Refusal) {
        let document = envelope.document
        if let version, !(toleratesOlderVersion && namesOlderVersion(fields)) {
            try checkMirroredHeader(Header.protocolVersion, in: fields, of: version, in: document)
        }
        try checkMirroredHeader(Header.method, in: fields, of: method, in: document)
        guard let parameter else { return }
        let value = envelope.params.flatMap { document.value(parameter, of: $0) }
        try mirrorName(fields, of: value, parameter: parameter, in: document)
    }

    /// Whether the one version header names an older revision. A widely used client says so the one it was written for.
    static func namesOlderVersion(_ fields: HTTPFields) -> Bool {
        guard case .value(let value) = fields.single(Header.protocolVersion) else { return false }
        return Revision(rawValue: value.string).map { !$0.isModern } ?? false
    }

    /// One header line, equal to the string in the body.
    private static func checkMirroredHeader(
        _ header: StaticString, in fields: HTTPFields, of value: JSONValue, in document: JSONDocument
    ) throws(Refusal) {
        let spelled = try singleHeader(header, in: fields)
        guard document.string(value, equals: spelled.bytes.span) else {
            throw .headerMismatch("\(header) differs from the body. Send what the body says.")
        }
    }

    /// `Mcp-Name` may be encoded ("Value Encoding"). A name that the body lacks is a wrong parameter, which is told
    /// later, unless the header has one.
    private static func mirrorName(
        _ fields: HTTPFields, of value: JSONValue?, parameter: StaticString, in document: JSONDocument
    ) throws(Refusal) {
        guard let value, value.kind == .string else {
            if fields.count(of: Header.name) == 0 { return }
            throw .headerMismatch("Mcp-Name is sent, but params.\(parameter) is no string.")
        }
        let spelled = try singleHeader(
            Header.name, in: fields, advice: "This method needs it: send params.\(parameter) in it.")
        guard let name = decodeHeaderValue(spelled.bytes) else {
            throw .headerMismatch(
                "Mcp-Name must be visible ASCII, or =?base64?…?= around the base64 of the UTF-8 text.")
        }
        guard document.string(value, equals: name.span) else {
            throw .headerMismatch("Mcp-Name differs from params.\(parameter). Send what the body says.")
        }
    }

    /// - Parameter advice: what to do where it is missing.
    private static func singleHeader(
        _ header: StaticString, in fields: HTTPFields, advice: @autoclosure () -> String = "Every request needs it."
    ) throws(Refusal) -> HTTPFieldValue {
        switch fields.single(header) {
        case .value(let value): return value
        case .missing: throw .headerMismatch("\(header) is missing. \(advice())")
        case .repeated: throw .headerMismatch("\(header) is sent more than once.")
        }
    }

    /// The text that a header value stands for; nil when it is not encoded as it must be.
    static func decodeHeaderValue(_ value: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
        if value.count >= prefix.count + suffix.count, value.prefix(prefix.count) == prefix,
            value.suffix(suffix.count) == suffix
        {
            return Base64.decodeText(Array(value.dropFirst(prefix.count).dropLast(suffix.count)))?[...]
        }
        return value.allSatisfy { $0 == 0x09 || (0x20...0x7E).contains($0) } ? value : nil
    }

    private static let prefix = Array("=?base64?".utf8)[...]
    private static let suffix = Array("?=".utf8)[...]
}
