package import JSONText

/// What has to be known of a server's tools before each call: the parameters that clients repeat in headers `Mcp-Param-…`, so that
/// balancers can route by them (2026-07-28, basic/transports/streamable-http, "Custom Headers from Tool Parameters"), and which tools
/// run as tasks. Most servers have neither, which ``isEmpty`` says.
package struct HeaderParameters: Sendable {
    /// Those of one tool.
    package struct Tool: Sendable {
        /// The header of each parameter, in lower case.
        package private(set) var headers: [[UInt8]] = []
        /// What leads from the arguments to each parameter, in the order of the headers.
        package private(set) var paths = JSONPaths()
        /// Nil where the tool runs as no task.
        package private(set) var taskSupport: TaskSupport?

        fileprivate mutating func add(_ support: TaskSupport) {
            if taskSupport != .required { taskSupport = support }
        }

        fileprivate mutating func addParameters(_ parameters: [HeaderParameter]) {
            for parameter in parameters where headers.count < HeaderParameters.maxCount {
                headers.append(parameter.header)
                paths.addPath(parameter.path)
            }
        }
    }

    /// Parameters of one tool. No request has more field lines.
    static let maxCount = 100

    private var tools: [[UInt8]: Tool] = [:]

    /// Nothing is known of any tool, or there is nothing to be known.
    package init() {}

    package var isEmpty: Bool { tools.isEmpty }

    /// What is known of the tool with this name; nil where that is nothing.
    package subscript(tool: [UInt8]) -> Tool? { tools[tool] }

    /// Adds the tools of one page of `tools/list`. Tools whose annotations break the rules have none: Remora hides the
    /// annotations from clients too. Of two tools with one name, it is not known which is called: what either says holds.
    package mutating func addTools(_ result: JSONValue, in document: JSONDocument) {
        guard let list = document.value("tools", of: result) else { return }
        for tool in document.elements(of: list) {
            guard tools.count < ToolFacts.maxTools,
                let name = document.value("name", of: tool).flatMap({ document.stringBytes($0) })
            else { continue }
            if let support = TaskSupport(of: tool, in: document) { tools[name, default: Tool()].add(support) }
            guard let schema = document.value("inputSchema", of: tool) else { continue }
            let annotations = HeaderAnnotations(of: schema, in: document)
            if annotations.areValid, !annotations.parameters.isEmpty {
                tools[name, default: Tool()].addParameters(annotations.parameters)
            }
        }
    }
}

/// An argument that is repeated in a header.
struct HeaderParameter: Equatable {
    /// The header's name in lower case.
    let header: [UInt8]
    /// The names that lead from the arguments to the value.
    let path: [[UInt8]]
}

/// The `x-mcp-header` annotations in one input schema.
struct HeaderAnnotations {
    static let name: StaticString = "x-mcp-header"

    private static let maxLevels = 16
    private static let minBudget = 64 << 10

    /// Keywords whose members are named by the tool, each with a schema.
    private static let maps: [StaticString] = [
        "properties", "patternProperties", "$defs", "definitions", "dependentSchemas",
    ]
    /// Keywords whose value is data and no schema.
    private static let data: [StaticString] = ["const", "default", "enum", "examples"]

    private let document: JSONDocument
    /// Bytes of schemas that may still be walked over. Each level is a walk over all that is below: so many are enough for
    /// the deepest schemas that people write, and a server's hostile one costs no more.
    private var budget: Int
    private(set) var parameters: [HeaderParameter] = []
    /// Every schema that has the annotation, valid or not.
    private(set) var annotated: [JSONValue] = []
    private(set) var areValid = true

    init(of schema: JSONValue, in document: JSONDocument) {
        self.document = document
        budget = HeaderAnnotations.maxLevels * schema.count + HeaderAnnotations.minBudget
        visitSchema(schema, at: [])
    }

    /// - Parameter path: the chain of `properties` that leads here; nil below any other keyword, where an annotation is
    ///   not allowed.
    private mutating func visitSchema(_ schema: JSONValue, at path: [[UInt8]]?) {
        budget -= schema.count
        guard budget >= 0 else {
            areValid = false
            return
        }
        var isAnnotated = false
        for member in document.members(of: schema) {
            if document.name(of: member, equals: HeaderAnnotations.name) {
                // Of two, readers choose different ones.
                if isAnnotated { areValid = false } else { annotated.append(schema) }
                isAnnotated = true
                noteAnnotation(member.value, of: schema, at: path)
            } else if document.name(of: member, equals: "properties") {
                for property in document.members(of: member.value) {
                    visitSchema(property.value, at: longerPath(path, by: property))
                }
            } else if HeaderAnnotations.maps.contains(where: { document.name(of: member, equals: $0) }) {
                for entry in document.members(of: member.value) { visitSchema(entry.value, at: nil) }
            } else if !HeaderAnnotations.data.contains(where: { document.name(of: member, equals: $0) }) {
                visitSchema(member.value, at: nil)
                for element in document.elements(of: member.value) { visitSchema(element, at: nil) }
            }
        }
    }

    /// Nil also where not every reader reads the name alike.
    private func longerPath(_ path: [[UInt8]]?, by property: JSONMember) -> [[UInt8]]? {
        guard let path, !document.hasUnpairedSurrogate(nameOf: property) else { return nil }
        return path + [Array(document.name(of: property).utf8)]
    }

    private mutating func noteAnnotation(_ annotation: JSONValue, of schema: JSONValue, at path: [[UInt8]]?) {
        // More are left alone, so that a schema of annotations costs no more than its length.
        guard areValid else { return }
        guard let path, !path.isEmpty, parameters.count < HeaderParameters.maxCount,
            let name = document.stringBytes(annotation), !name.isEmpty,
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
