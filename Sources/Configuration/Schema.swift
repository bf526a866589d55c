import JSONText

extension Configuration {
    /// A JSON Schema (draft 7) of the configuration, for editors.
    ///
    /// It is made by reading an empty configuration, whose tables name each key with its format. What takes several values together,
    /// or this machine, to see is for `remora check` alone.
    package static var schemaText: String {
        let schema = SectionSchema()
        // What is wrong with an empty file is not wanted here.
        _ = Section.readSection(
            nil, path: "", in: Report(file: "", source: nil), at: .option(""), schema: schema
        ) { Configuration(&$0) }
        let head: [SchemaNode.Member] = [
            ("$schema", .text("http://json-schema.org/draft-07/schema#")),
            ("title", .text("Remora's configuration")),
            ("description", .text("docs/configuration.md explains every key; remora check -c FILE checks a file.")),
        ]
        var text: [UInt8] = []
        SchemaNode.object(head + schema.members).appendText(to: &text, depth: 0)
        return String(decoding: text, as: UTF8.self)
    }
}

/// The schema of one section, gathered while its keys are read.
final class SectionSchema {
    private var properties: [SchemaNode.Member] = []
    private var required: [String] = []
    /// Of each of these, one must be there.
    private var choices: [[String]] = []

    func addValue<Value>(_ key: String, _ format: Format<Value>) {
        properties.append((key, Self.valueSchema(format)))
    }

    func addList<Value>(_ key: String, of format: Format<Value>) {
        // `key:` with nothing behind it is an empty list.
        properties.append((key, Self.ofType("array", [("items", Self.valueSchema(format))])))
    }

    func addMapping<Name, Value>(_ key: String, of names: Format<Name>, to values: Format<Value>) {
        let members: [SchemaNode.Member] = [
            ("propertyNames", names.shape.nameSchema), ("additionalProperties", Self.valueSchema(values)),
        ]
        properties.append((key, Self.ofType("object", members)))
    }

    func addSection(_ key: String, _ section: SectionSchema) {
        properties.append((key, .object(section.members)))
    }

    func addSections(_ key: String, _ section: SectionSchema, atMost limit: Int, isRequired: Bool) {
        let items: SchemaNode.Member = ("items", .object(section.members))
        guard isRequired else {
            properties.append((key, Self.ofType("array", [items, ("maxItems", .number(limit))])))
            return
        }
        let members: [SchemaNode.Member] = [
            ("type", .text("array")), items, ("minItems", .number(1)), ("maxItems", .number(limit)),
        ]
        properties.append((key, .object(members)))
        required.append(key)
    }

    /// The key must be there, unless the list `other` is and has something in it.
    func requireKey(_ key: String, unless other: String?) {
        if let other { choices.append([key, other]) } else { required.append(key) }
    }

    var members: [SchemaNode.Member] {
        var members: [SchemaNode.Member] = [
            // `key:` with nothing behind it is a section that says nothing.
            ("type", required.isEmpty && choices.isEmpty ? .list([.text("object"), .text("null")]) : .text("object")),
            ("additionalProperties", .boolean(false)),
        ]
        if !required.isEmpty { members.append(("required", .list(required.map(SchemaNode.text)))) }
        for keys in choices { members.append(("anyOf", .list(keys.map(Self.presenceSchema)))) }
        members.append(("properties", .object(properties)))
        return members
    }

    /// An empty list says no more than none.
    private static func presenceSchema(of key: String) -> SchemaNode {
        .object([
            ("required", .list([.text(key)])),
            ("properties", .object([(key, .object([("minItems", .number(1))]))])),
        ])
    }

    private static func ofType(_ name: String, _ members: [SchemaNode.Member]) -> SchemaNode {
        .object([("type", .list([.text(name), .text("null")]))] + members)
    }

    private static func valueSchema<Value>(_ format: Format<Value>) -> SchemaNode {
        let description = format.requirement.map { requirement in
            let bounds = format.shape.bounds.map { " (\($0))" } ?? ""
            return (
                "description",
                SchemaNode.text("\(requirement.prefix(1).uppercased())\(requirement.dropFirst())\(bounds).")
            )
        }
        return .object((description.map { [$0] } ?? []) + format.shape.members)
    }
}

extension Format {
    /// What a message says of a value that is not accepted; nil where that takes a file, or where any text is accepted.
    fileprivate var requirement: String? {
        if shape.isFile { return nil }
        do throws(FormatError) {
            // No setting of one form has an empty value.
            _ = try parse("")
            return nil
        } catch {
            return error.requirement
        }
    }
}

/// A part of a JSON Schema.
indirect enum SchemaNode: Sendable {
    typealias Member = (name: String, value: SchemaNode)

    case object([Member])
    case list([SchemaNode])
    case text(String)
    case number(Int)
    case boolean(Bool)

    /// Writes it, a line for each member of an object that has an object or a list in it.
    func appendText(to text: inout [UInt8], depth: Int) {
        switch self {
        case .text(let string): text.appendJSON(string)
        case .number(let number): text.appendJSON(number)
        case .boolean(let value): text.append(value ? "true" : "false")
        case .list(let items):
            text.append("[")
            for (index, item) in items.enumerated() {
                if index > 0 { text.append(", ") }
                item.appendText(to: &text, depth: depth)
            }
            text.append("]")
        case .object(let members):
            let isFlat = members.allSatisfy(\.value.isLeaf)
            text.append("{")
            for (index, member) in members.enumerated() {
                if index > 0 { text.append(isFlat ? ", " : ",") }
                if !isFlat { Self.breakLine(&text, depth: depth + 1) }
                text.appendJSON(member.name)
                text.append(": ")
                member.value.appendText(to: &text, depth: depth + 1)
            }
            if !isFlat { Self.breakLine(&text, depth: depth) }
            text.append("}")
        }
    }

    private var isLeaf: Bool {
        switch self {
        case .text, .number, .boolean: true
        case .list(let items): items.allSatisfy(\.isLeaf)
        case .object: false
        }
    }

    private static func breakLine(_ text: inout [UInt8], depth: Int) {
        text.append("\n")
        for _ in 0..<depth { text.append("  ") }
    }
}
