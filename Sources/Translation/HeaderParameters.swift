package import JSONText

/// A tool's parameter that clients repeat in a header `Mcp-Param-…`, so that balancers can route by it (2026-07-28,
/// basic/transports/streamable-http, "Custom Headers from Tool Parameters").
package struct HeaderParameter: Sendable, Equatable {
    /// The header's name in lower case.
    package let header: [UInt8]
    /// The names that lead from the arguments to the value.
    package let path: [[UInt8]]
}

/// The parameters of a server's tools that are repeated in headers.
package struct HeaderParameters: Sendable {
    private var tools: [[UInt8]: [HeaderParameter]] = [:]

    /// Nothing is known of any tool, or no tool has one.
    package init() {}

    package var isEmpty: Bool { tools.isEmpty }

    /// Those of the tool with this name.
    package subscript(tool: [UInt8]) -> [HeaderParameter] { tools[tool] ?? [] }

    /// Adds the tools of one page of `tools/list`. Tools whose annotations break the rules have none: Remora hides the
    /// annotations from clients too.
    package mutating func add(_ result: JSONValue, in document: JSONDocument) {
        guard let list = document.value("tools", of: result) else { return }
        for tool in document.elements(of: list) {
            guard let name = document.value("name", of: tool).flatMap({ document.stringBytes($0) }),
                let schema = document.value("inputSchema", of: tool)
            else { continue }
            let annotations = HeaderAnnotations(of: schema, in: document)
            if annotations.areValid, !annotations.parameters.isEmpty { tools[name] = annotations.parameters }
        }
    }
}

/// The `x-mcp-header` annotations in one input schema.
struct HeaderAnnotations {
    static let name: StaticString = "x-mcp-header"

    /// Keywords whose members are named by the tool, each with a schema.
    private static let maps: [StaticString] = [
        "properties", "patternProperties", "$defs", "definitions", "dependentSchemas",
    ]
    /// Keywords whose value is data and no schema.
    private static let data: [StaticString] = ["const", "default", "enum", "examples"]

    private let document: JSONDocument
    private(set) var parameters: [HeaderParameter] = []
    /// Every schema that has the annotation, valid or not.
    private(set) var annotated: [JSONValue] = []
    private(set) var areValid = true

    init(of schema: JSONValue, in document: JSONDocument) {
        self.document = document
        visit(schema, at: [])
    }

    /// - Parameter path: the chain of `properties` that leads here; nil below any other keyword, where an annotation is
    ///   not allowed.
    private mutating func visit(_ schema: JSONValue, at path: [[UInt8]]?) {
        for member in document.members(of: schema) {
            if document.name(of: member, equals: HeaderAnnotations.name) {
                annotated.append(schema)
                note(member.value, of: schema, at: path)
            } else if document.name(of: member, equals: "properties") {
                for property in document.members(of: member.value) {
                    visit(property.value, at: path.map { $0 + [Array(document.name(of: property).utf8)] })
                }
            } else if HeaderAnnotations.maps.contains(where: { document.name(of: member, equals: $0) }) {
                for entry in document.members(of: member.value) { visit(entry.value, at: nil) }
            } else if !HeaderAnnotations.data.contains(where: { document.name(of: member, equals: $0) }) {
                visit(member.value, at: nil)
                for element in document.elements(of: member.value) { visit(element, at: nil) }
            }
        }
    }

    private mutating func note(_ annotation: JSONValue, of schema: JSONValue, at path: [[UInt8]]?) {
        guard let path, !path.isEmpty, let name = document.stringBytes(annotation), !name.isEmpty,
            name.allSatisfy(HeaderAnnotations.isTokenCharacter), hasPrimitiveType(schema)
        else {
            areValid = false
            return
        }
        let header = Array("mcp-param-".utf8) + name.map { (0x41...0x5A).contains($0) ? $0 | 0x20 : $0 }
        if parameters.contains(where: { $0.header == header }) { areValid = false }
        parameters.append(HeaderParameter(header: header, path: path))
    }

    private func hasPrimitiveType(_ schema: JSONValue) -> Bool {
        guard let type = document.value("type", of: schema) else { return false }
        return (["string", "integer", "boolean"] as [StaticString]).contains { document.string(type, equals: $0) }
    }

    /// `tchar` of RFC 9110 §5.6.2.
    private static func isTokenCharacter(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
        case UInt8(ascii: "0")...UInt8(ascii: "9"): true
        default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
    }
}
