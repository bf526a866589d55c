import JSONText
import Testing

@testable import Translation

/// What servers are told of clients where an operator has a say in it.
@Suite struct DeclarationRulesTests {
    private func declared(_ client: String?, _ rules: DeclarationRules) throws -> String {
        let document = try JSONDocument(Array((client ?? "null").utf8))
        let trimmed = rules.trimmedCapabilities(client == nil ? nil : document.root, in: document)
        let text = ClientCapabilities.exclusiveCapabilities(
            trimmed?.root, in: trimmed ?? document, hasRoots: !rules.roots.isEmpty)
        return String(decoding: text, as: UTF8.self)
    }

    private static let everything = """
        {"elicitation":{"form":{"a":1},"url":{}},"experimental":{"x":{}},"extensions":{"a/b":{}},"roots":{"listChanged":true},\
        "sampling":{"context":{},"tools":{}}}
        """

    @Test(
        arguments: [
            ([], "{}"), ([.elicitation], "{\"elicitation\":{}}"),
            ([.elicitationForm], "{\"elicitation\":{\"form\":{\"a\":1}}}"),
            ([.elicitationURL], "{\"elicitation\":{\"url\":{}}}"),
            ([.elicitation, .elicitationURL], "{\"elicitation\":{\"url\":{}}}"),
            ([.sampling], "{\"sampling\":{}}"), ([.samplingTools], "{\"sampling\":{\"tools\":{}}}"),
            ([.roots, .extensions], "{\"extensions\":{\"a/b\":{}},\"roots\":{}}"),
        ] as [(DeclarationRules.Capabilities, String)])
    func whatIsAllowedIsDeclared(allowed: DeclarationRules.Capabilities, text: String) throws {
        #expect(try declared(Self.everything, DeclarationRules(allowed: allowed)) == text)
        #expect(try declared("{}", DeclarationRules(allowed: allowed)) == "{}")
        #expect(try declared(nil, DeclarationRules(allowed: allowed)) == "{}")
    }

    /// `elicitation` without modes means forms, which this client has none of.
    @Test func aClientThatOpensPagesAloneDeclaresNoForms() throws {
        #expect(try declared(#"{"elicitation":{"url":{}}}"#, DeclarationRules(allowed: [.elicitation])) == "{}")
        #expect(
            try declared(#"{"elicitation":{}}"#, DeclarationRules(allowed: [.elicitationForm]))
                == #"{"elicitation":{}}"#)
    }

    @Test func rootsAreDeclaredForAll() throws {
        let rules = DeclarationRules(roots: ["file:///a", "file:///b"])
        #expect(String(decoding: rules.roots, as: UTF8.self) == #"{"roots":[{"uri":"file:///a"},{"uri":"file:///b"}]}"#)
        #expect(try declared(nil, rules) == #"{"roots":{}}"#)
        #expect(try declared("{}", rules) == #"{"roots":{}}"#)
        #expect(
            try declared(#"{"roots":{},"sampling":{"tools":{}}}"#, rules) == #"{"roots":{},"sampling":{"tools":{}}}"#)
        let document = try JSONDocument(Array(#"{"roots":{}}"#.utf8))
        let trimmed = try #require(rules.trimmedCapabilities(document.root, in: document))
        #expect(InputCapabilities(trimmed.root, in: trimmed).isEmpty, "the client is not asked any more")
    }
}
