/// What the text of a value may look like, for `remora schema`: as exact as a JSON Schema can say it, and never narrower than the check.
///
/// YAML gives a schema a number or a boolean where a file has no quotes, and Remora the text.
struct ValueShape: Sendable {
    private let alternatives: [SchemaNode]
    /// Bounds that no schema can check, such as `1KiB to 1GiB`.
    let bounds: String?
    /// Whether the check reads a file of that name.
    let isFile: Bool

    private init(_ alternatives: [SchemaNode], bounds: String? = nil, isFile: Bool = false) {
        self.alternatives = alternatives
        self.bounds = bounds
        self.isFile = isFile
    }

    /// The same, or one of a few words.
    func orWords(_ words: String...) -> ValueShape {
        ValueShape(alternatives + [Self.wordsNode(words)], bounds: bounds, isFile: isFile)
    }

    /// The members of a schema for a value, in which `${NAME}` may stand for anything.
    var members: [SchemaNode.Member] {
        [("anyOf", .list(alternatives + [Self.variable]))]
    }

    /// The schema of a name, in which `${NAME}` is nothing but text.
    var nameSchema: SchemaNode { .object([("anyOf", .list(alternatives))]) }

    private static let variable = patternNode(#"\$\{[A-Za-z_][A-Za-z0-9_]*\}"#)

    private static func patternNode(_ expression: String) -> SchemaNode {
        .object([("type", .text("string")), ("pattern", .text(expression))])
    }

    private static func wordsNode(_ words: [String]) -> SchemaNode {
        .object([("enum", .list(words.map(SchemaNode.text)))])
    }

    private static func integerNode(from low: Int, to high: Int) -> SchemaNode {
        .object([("type", .text("integer")), ("minimum", .number(low)), ("maximum", .number(high))])
    }

    private static let anything = SchemaNode.object([
        ("type", .list([.text("string"), .text("number"), .text("boolean")]))
    ])
}

extension ValueShape {
    /// Any text.
    static let text = ValueShape([anything])
    /// The path of a file that Remora reads.
    static let file = ValueShape([anything], isFile: true)
    static let boolean = ValueShape([.object([("type", .text("boolean"))]), wordsNode(["true", "false"])])

    /// Text that a regular expression of ECMA-262 matches.
    ///
    /// - Parameter orWord: whether digits alone, or one word, match it.
    static func pattern(_ expression: String, orWord: Bool = false) -> ValueShape {
        let untyped = SchemaNode.object([("type", .list([.text("number"), .text("boolean")]))])
        return ValueShape([patternNode(expression)] + (orWord ? [untyped] : []))
    }

    static func words(_ words: [String]) -> ValueShape { ValueShape([wordsNode(words)]) }

    static func integer(_ range: ClosedRange<Int>) -> ValueShape {
        ValueShape([integerNode(from: range.lowerBound, to: range.upperBound), patternNode("^[0-9]+$")])
    }

    /// Octal digits, which YAML gives as a number where there are no quotes.
    static let fileMode = ValueShape([patternNode("^0?[0-7]{3}$"), integerNode(from: 0, to: 777)])

    /// Digits and a unit, zero without one, and a bare number in the range `bare`.
    static func quantity(_ units: String, bare: ClosedRange<Int>?, bounds: String) -> ValueShape {
        let number = bare.map { integerNode(from: $0.lowerBound, to: $0.upperBound) }
        return ValueShape([patternNode("^([0-9]+(\(units))|0+)$")] + (number.map { [$0] } ?? []), bounds: bounds)
    }
}
