import HTTPWire
import JSONText
import Translation

/// Arguments that are repeated in headers must be the same there (2026-07-28, basic/transports/streamable-http, "Server Behavior
/// for Custom Headers"): a proxy that routes by the header and a server that acts on the argument must see one value.
enum HeaderParameterRules {
    static func checkParameterHeaders(
        _ request: ModernRequest, _ fields: HTTPFields, _ parameters: HeaderParameters.Tool
    ) throws(Refusal) {
        let document = request.document
        // One walk over the arguments for all headers.
        let arguments =
            document.value("arguments", of: request.params).map { document.findPaths(parameters.paths, in: $0) }
            ?? Array(repeating: .nothing, count: parameters.headers.count)
        for (name, argument) in zip(parameters.headers, arguments) {
            guard let flaw = headerFlaw(of: fields.single(named: name), repeating: argument, in: document) else {
                continue
            }
            throw .headerMismatch("\(String(decoding: name, as: UTF8.self)) \(flaw)")
        }
    }

    /// What is wrong with a header, to be said after its name; nil when it says what the argument says.
    private static func headerFlaw(
        of header: HTTPFields.Single, repeating argument: JSONPaths.Found, in document: JSONDocument
    ) -> String? {
        switch (header, argument) {
        case (_, .ambiguous):
            return
                "repeats an argument that is there more than once, or has a name that is no Unicode text. Send it once."
        case (.missing, .nothing):
            return nil
        case (.missing, .value(let value)):
            return value.kind == .null
                ? nil : "is missing. List the tools again, and send what inputSchema asks for."
        case (.value, .nothing), (.repeated, .nothing):
            return "is sent, but the arguments have no such value."
        case (.repeated, .value):
            return "is sent more than once."
        case (.value(let header), .value(let value)):
            return headerFlaw(of: header, repeating: value, in: document)
        }
    }

    private static func headerFlaw(
        of header: HTTPFieldValue, repeating value: JSONValue, in document: JSONDocument
    ) -> String? {
        let differs = "differs from the arguments. Send what the body says."
        let text = HeaderRules.decodeHeaderValue(header.bytes)
        switch value.kind {
        case .null:
            return "is sent, but the arguments have no such value."
        case .object, .array:
            return "cannot repeat a list or an object. Send the argument that inputSchema asks for."
        case .string:
            return text.map { document.string(value, equals: $0.span) } == true ? nil : differs
        case .boolean:
            return text == document.raw(value) ? nil : differs
        case .number:
            guard let said = text.flatMap(DecimalNumber.init), let meant = DecimalNumber(document.raw(value)) else {
                return "and the argument must be the same number, of less than 10^308. Send what the body says."
            }
            return said == meant ? nil : differs
        }
    }
}
