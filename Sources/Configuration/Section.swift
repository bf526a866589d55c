/// A mapping of the document while its keys are read. Each reader names a key, which makes the key known; what is left
/// over is reported as unknown. A value that is faulty is reported, and the default takes its place.
struct Section {
    /// Its full name in messages, such as `limits`; empty for the whole document.
    private let path: String
    private let origin: Node.Origin
    private let entries: [Node.Entry]
    /// False when the mapping itself was faulty, so that what it lacks is not reported again.
    private let isSound: Bool
    private let report: Report
    private let countBefore: Int
    private var known: [String] = []
    /// Nil: none is wanted.
    private let schema: SectionSchema?

    /// Longer than any address, URL or name that works elsewhere (RFC 9110 §4.1 has 8000 for a URL).
    private static let maxValueBytes = 8192

    /// Reads `node`, nil where the section is not given, with `body`.
    ///
    /// - Parameter schema: what gathers the formats of its keys.
    static func readSection<Value>(
        _ node: Node?, path: String, in report: Report, at origin: Node.Origin, schema: SectionSchema? = nil,
        body: (inout Section) -> Value
    ) -> Value {
        var section = Section(node, path: path, in: report, at: origin, schema: schema)
        let value = body(&section)
        section.reportUnknownKeys()
        return value
    }

    private init(
        _ node: Node?, path: String, in report: Report, at origin: Node.Origin, schema: SectionSchema?
    ) {
        self.path = path
        self.schema = schema
        self.origin = node?.origin ?? origin
        self.report = report
        countBefore = report.count
        switch node?.content {
        case .mapping(let entries):
            (self.entries, isSound) = (entries, true)
        case nil:
            (entries, isSound) = ([], true)
        case .scalar(let scalar) where scalar.isAbsent:
            (entries, isSound) = ([], true)
        case .refused:
            (entries, isSound) = ([], false)
        case .scalar, .list:
            (entries, isSound) = ([], false)
            let name = path.isEmpty ? "the file" : path
            report.addIssue(
                "\(name) must be a mapping, with lines of `key: value`, got \(node?.shown ?? "")", at: self.origin)
        }
    }

    // MARK: Readers

    /// The value of `key`, or `fallback` when it is not given.
    mutating func value<Value>(_ key: String, _ format: Format<Value>, default fallback: Value) -> Value {
        schema?.addValue(key, format)
        return findNode(key).flatMap { scalarValue($0, name: keyPath(key), format) } ?? fallback
    }

    /// The value of `key`; nil when it is missing or faulty, which is reported. `example` shows a line to add.
    ///
    /// - Parameter other: the list in whose place the key stands, where there is one.
    mutating func requiredValue<Value>(
        _ key: String, _ format: Format<Value>, example: String, unless other: String? = nil
    ) -> Value? {
        schema?.addValue(key, format)
        schema?.requireKey(key, unless: other)
        let node = findNode(key)
        guard let node, !node.isAbsent else {
            if isSound, !isMisspelled(key) {
                report.addIssue("\(keyPath(key)) is missing: add it, such as `\(example)`", at: node?.origin ?? origin)
            }
            return nil
        }
        return scalarValue(node, name: keyPath(key), format)
    }

    /// The value of `key`, which no message shows, and neither its line; nil when it is not given or empty.
    mutating func secretValue(_ key: String) -> String? {
        schema?.addValue(key, Format<String>.any)
        guard let node = findNode(key) else { return nil }
        switch node.content {
        case .refused: return nil
        case .scalar(let scalar) where scalar.isAbsent:
            refuseSecret(key, "has no value: give one, or remove the line")
        case .scalar(let scalar) where scalar.value.utf8.count <= Self.maxValueBytes:
            return scalar.value.isEmpty ? nil : scalar.value
        case .scalar: refuseSecret(key, "must be at most \(Self.maxValueBytes) bytes long")
        case .list, .mapping: refuseSecret(key, "must be a single value")
        }
        return nil
    }

    /// The values of the list `key`, or `fallback` when it is not given; `whole` checks them together.
    mutating func listValues<Value>(
        _ key: String, of format: Format<Value>, default fallback: [Value],
        whole: ([Value]) throws(FormatError) -> Void = { _ throws(FormatError) in }
    ) -> [Value] {
        schema?.addList(key, of: format)
        guard let node = findNode(key), let items = listNodes(of: node, key: key) else { return fallback }
        let values = items.enumerated().compactMap { index, item in
            scalarValue(item, name: "\(keyPath(key))[\(index)]", format)
        }
        guard values.count == items.count else { return fallback }
        do throws(FormatError) {
            try whole(values)
        } catch {
            report.addIssue("\(keyPath(key)) \(error.requirement)", at: node.origin)
        }
        return values
    }

    /// The entries of the mapping `key`, whose names are the file's own; none when it is not given. What is faulty is left
    /// out, and reported.
    mutating func mappingEntries<Name, Value>(
        _ key: String, of names: Format<Name>, to values: Format<Value>
    ) -> [(name: Name, value: Value)] {
        schema?.addMapping(key, of: names, to: values)
        guard let node = findNode(key) else { return [] }
        switch node.content {
        case .mapping(let entries):
            return entries.compactMap { entry in
                do throws(FormatError) {
                    // The name first: a wrong one may be anything, and is not for a message about its value.
                    let name = try names.parse(entry.key)
                    return scalarValue(entry.value, name: "\(self.keyPath(key)).\(entry.key)", values).map {
                        (name, $0)
                    }
                } catch {
                    report.addIssue("a name in \(keyPath(key)) \(error.requirement)", at: entry.keyPosition)
                    return nil
                }
            }
        case .scalar(let scalar) where scalar.isAbsent: return []
        case .refused: return []
        case .scalar, .list:
            report.addIssue(
                "\(keyPath(key)) must be a mapping, with lines of `name: value`, got \(node.shown)", at: node.origin)
            return []
        }
    }

    /// Whether the single value of `key` contains a text. It does not make the key known.
    func hasText(_ text: String, in key: String) -> Bool {
        guard case .scalar(let scalar) = givenNode(key)?.content else { return false }
        return scalar.value.contains(text)
    }

    /// Reports what is wrong with a value that must not be shown, without its line.
    func refuseSecret(_ key: String, _ requirement: String) {
        let place = givenNode(key)?.origin ?? origin
        report.addIssue("\(keyPath(key)) \(requirement)", at: place, showsLine: false)
    }

    /// Whether an unknown key is probably this one: it is reported, and what it means is not missing.
    private func isMisspelled(_ key: String) -> Bool {
        entries.contains { $0.key != key && Spelling.nearestName(to: $0.key, among: [key]) != nil }
    }

    /// Whether the key is there with something behind it that is no empty list, faulty or not.
    func isGiven(_ key: String) -> Bool {
        guard let node = givenNode(key), !node.isAbsent else { return false }
        if case .list(let items) = node.content { return !items.isEmpty }
        return true
    }

    /// Whether the key is there, with nothing behind it.
    func isBlank(_ key: String) -> Bool { givenNode(key)?.isAbsent == true }

    /// Reports what only several values together show, at the place of `key`, or of the section where that is not given.
    func refuseValue(_ key: String, _ requirement: String) {
        let place = givenNode(key)?.origin ?? origin
        report.addIssue("\(keyPath(key)) \(requirement)", at: place)
    }

    /// Reports what is wrong with the section as a whole.
    func refuseSection(_ requirement: String) { report.addIssue("\(path) \(requirement)", at: origin) }

    /// Whether nothing was wrong with what was read so far.
    var isFaultless: Bool { report.count == countBefore }

    /// The section `key`; one that is not given is read as an empty one.
    mutating func readNested<Value>(_ key: String, _ body: (inout Section) -> Value) -> Value {
        let inner = schema.map { _ in SectionSchema() }
        let value = Section.readSection(
            findNode(key), path: keyPath(key), in: report, at: origin, schema: inner, body: body)
        if let inner { schema?.addSection(key, inner) }
        return value
    }

    /// The sections in the list `key`: at least one, for which `example` shows a line to add, and at most `limit`. Without an
    /// example there may be none.
    mutating func readNestedList<Value>(
        _ key: String, atMost limit: Int, example: String?, _ body: (inout Section) -> Value
    ) -> [Value] {
        let node = findNode(key)
        if let schema {
            let inner = SectionSchema()
            _ = Section.readSection(nil, path: keyPath(key), in: report, at: origin, schema: inner, body: body)
            schema.addSections(key, inner, atMost: limit, isRequired: example != nil)
        }
        guard let items = node.map({ listNodes(of: $0, key: key) }) ?? [] else { return [] }
        guard !items.isEmpty else {
            if isSound, !isMisspelled(key), let example {
                report.addIssue("\(keyPath(key)) is missing: add it, such as `\(example)`", at: node?.origin ?? origin)
            }
            return []
        }
        if items.count > limit {
            report.addIssue(
                "\(keyPath(key)) must have no more than \(limit) in this version, got \(items.count): remove this one",
                at: items[limit].origin)
        }
        return items.prefix(limit).enumerated().map { index, item in
            Section.readSection(item, path: "\(keyPath(key))[\(index)]", in: report, at: item.origin, body: body)
        }
    }

    // MARK: Helpers

    private func keyPath(_ key: String) -> String {
        path.isEmpty ? key : "\(path).\(key)"
    }

    private mutating func findNode(_ key: String) -> Node? {
        known.append(key)
        report.noteKey(keyPath(key))
        return givenNode(key)
    }

    /// The node of a key, which this does not make known.
    private func givenNode(_ key: String) -> Node? { entries.first { $0.key == key }?.value }

    /// The nodes of a list, nil when it is not one, which is reported. `key:` with nothing behind it is an empty list.
    private func listNodes(of node: Node, key: String) -> [Node]? {
        switch node.content {
        case .list(let items): return items
        case .scalar(let scalar) where scalar.isAbsent: return []
        case .refused: return nil
        case .scalar, .mapping:
            // Of a value from the environment nothing is shown.
            let words: [Substring] =
                if case .scalar(let scalar) = node.content, !scalar.isExpanded {
                    scalar.written.split(separator: " ")
                } else { [] }
            let isShort =
                !words.isEmpty
                && words.allSatisfy { $0.utf8.count <= 60 && !$0.contains { "[]{},\"'#&*".contains($0) } }
            let remedy = isShort ? "; write [\(words.joined(separator: ", "))]" : ""
            report.addIssue(
                "\(keyPath(key)) must be a list, with lines of `- value` or as [value], got \(node.shown)\(remedy)",
                at: node.origin
            )
            return nil
        }
    }

    private func scalarValue<Value>(_ node: Node, name: String, _ format: Format<Value>) -> Value? {
        // An option is known by its own name to the one who gave it.
        let name = if case .option(let option) = node.origin { option } else { name }
        switch node.content {
        case .refused:
            return nil
        case .scalar(let scalar) where scalar.isAbsent:
            report.addIssue("\(name) has no value: give one, or remove the line for the default", at: node.origin)
            return nil
        case .scalar(let scalar):
            guard scalar.value.utf8.count <= Self.maxValueBytes else {
                report.addIssue("\(name) must be at most \(Self.maxValueBytes) bytes long", at: node.origin)
                return nil
            }
            do throws(FormatError) {
                return try format.parse(scalar.value)
            } catch {
                let advice = Section.advice(error, about: scalar)
                report.addIssue("\(name) \(error.requirement), got \(node.shown)\(advice)", at: node.origin)
                return nil
            }
        case .list, .mapping:
            report.addIssue("\(name) must be a single value, got \(node.shown)", at: node.origin)
            return nil
        }
    }

    /// What to write instead, where that is known. What was made of a value of the environment would tell of it.
    private static func advice(_ error: FormatError, about scalar: Scalar) -> String {
        if scalar.isExpanded { return "" }
        if let remedy = error.remedy { return "; write \(remedy)" }
        guard let name = scalar.unexpandedVariable else { return "" }
        return "; write ${\(name)} for the value of the environment variable \(name)"
    }

    private func reportUnknownKeys() {
        for entry in entries where !known.contains(entry.key) {
            let place = path.isEmpty ? "" : " in \(path)"
            let advice =
                if let near = Spelling.nearestName(to: entry.key, among: known) {
                    "did you mean `\(near)`?"
                } else {
                    "the keys here are \(known.joined(separator: ", "))"
                }
            report.addIssue("unknown key \(entry.key.quoted)\(place); \(advice)", at: entry.keyPosition)
        }
    }
}
