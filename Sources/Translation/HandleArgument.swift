package import JSONText
import MCP

/// The argument of a tool that names the session in which the call runs.
package enum HandleArgument {
    package static let name: StaticString = "session_handle"

    /// Whether the input schema of a tool can have it.
    package enum Fit: Equatable, Sendable {
        /// It gets the property.
        case extended
        /// A validator might refuse the property, or nobody could tell: the schema stays as it is.
        case leftAlone
        /// The tool has an argument of that name, which is for the server.
        case own
    }

    /// Keywords by which a schema refuses a property that it does not name, or which are not about its own properties.
    private static let closing: [StaticString] = [
        "$ref", "$dynamicRef", "$recursiveRef", "patternProperties", "propertyNames", "maxProperties", "const", "enum",
    ]
    /// Keywords that apply other schemas to the same object.
    private static let composing: [StaticString] = [
        "allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas", "dependencies",
    ]
    /// What makes such a schema refuse a property, as it is spelled.
    private static let refusing = [
        "additionalProperties", "unevaluatedProperties", "$ref", "$dynamicRef", "$recursiveRef", "patternProperties",
        "propertyNames", "maxProperties",
    ].map { Array("\"\($0)\"".utf8) }
    private static let spelled = Array("\"\(name)\"".utf8)

    /// - Parameter schema: `inputSchema` of a tool.
    package static func fit(of schema: JSONValue, in document: JSONDocument) -> Fit {
        guard schema.kind == .object, !document.hasDuplicateNames(schema) else { return .leftAlone }
        var isClosed = false
        var isComposed = false
        var hasFixedProperties = false
        for member in document.members(of: schema) {
            let value = member.value
            if document.name(of: member, equals: "properties") {
                if value.kind != .object { isClosed = true }
                if document.value(name, of: value) != nil { return .own }
            } else if document.name(of: member, equals: "required") {
                if value.kind != .array { isClosed = true }
            } else if document.name(of: member, equals: "additionalProperties") {
                hasFixedProperties = document.boolean(value) != true
            } else if document.name(of: member, equals: "unevaluatedProperties") {
                if document.boolean(value) != true { isClosed = true }
            } else if closing.contains(where: { document.name(of: member, equals: $0) }) {
                isClosed = true
            } else if composing.contains(where: { document.name(of: member, equals: $0) }) {
                isComposed = true
                if (refusing + [spelled]).contains(where: { spells($0, in: document.raw(value)) }) { isClosed = true }
            }
        }
        guard isClosed || isComposed && hasFixedProperties else { return .extended }
        // What its parts name is the tool's own.
        return spells(spelled, in: document.raw(schema)) ? .own : .leftAlone
    }

    /// - Parameter word: with its quotes.
    private static func spells(_ word: [UInt8], in text: ArraySlice<UInt8>) -> Bool {
        var rest = text
        while let quote = rest.firstIndex(of: UInt8(ascii: "\"")) {
            rest = rest[quote...]
            if rest.starts(with: word) { return true }
            rest = rest.dropFirst()
        }
        return false
    }

    /// Adds the argument to each tool of a list that can have it.
    static func extendTools(
        in result: JSONValue, of document: JSONDocument, _ splice: inout JSONSplice, _ argument: [UInt8],
        isRequired: Bool
    ) {
        guard let tools = document.value("tools", of: result) else { return }
        for tool in document.elements(of: tools) {
            guard let schema = document.value("inputSchema", of: tool, .object),
                fit(of: schema, in: document) == .extended
            else { continue }
            if let properties = document.value("properties", of: schema, .object) {
                splice.setMember(name, to: argument, in: properties, at: .end)
            } else {
                var properties = Array(#"{"session_handle":"#.utf8)
                properties += argument
                properties.append("}")
                splice.setMember("properties", to: properties, in: schema, at: .end)
            }
            guard isRequired else { continue }
            var names =
                document.value("required", of: schema, .array).map { Array(document.raw($0).dropLast()) }
                ?? Array("[".utf8)
            let isFirst = document.value("required", of: schema, .array).map { list in
                document.elements(of: list).first { _ in true } == nil
            }
            names.append(isFirst ?? true ? "" : ",")
            names += spelled
            names.append("]")
            splice.setMember("required", to: names, in: schema, at: .end)
        }
    }
}

/// What a request says of the session of a handle.
package enum HandleMention: Equatable, Sendable {
    case none
    /// The argument of a tool is there and names nothing: it is `null`, which is how some models leave one out.
    case nothing
    /// The argument of a tool, in UTF-8; nil where it is no string. It may be the tool's own.
    case argument([UInt8]?)
    /// `_meta`; nil where it is no string.
    case metadata([UInt8]?)
}

extension ModernRequest {
    /// `_meta` wins over the argument.
    package var handleMention: HandleMention {
        if let value = document.value(MetaKey.sessionHandle, of: meta) {
            return .metadata(value.kind == .string ? document.stringBytes(value) : nil)
        }
        guard method == .callTool, let arguments = document.value("arguments", of: params, .object),
            let value = document.value(HandleArgument.name, of: arguments)
        else { return .none }
        if value.kind == .null { return .nothing }
        return .argument(value.kind == .string ? document.stringBytes(value) : nil)
    }

    /// The same request, but the server is not told of the handle.
    ///
    /// - Parameter ownsArgument: whether the argument is for the server.
    package func hidingHandle(ownsArgument: Bool) -> ModernRequest {
        ModernRequest(
            document: document, id: id, method: method, params: params, meta: metadata.hidingHandle(in: document),
            trace: trace,
            hiddenHandle: ownsArgument || method != .callTool ? .metadata : .everywhere)
    }

    /// Where a handle stands of which the server is not told.
    package enum HiddenHandle: Sendable {
        case nowhere
        case metadata
        case everywhere
    }
}
