import JSONText
import MCP
import Testing

@testable import Translation

/// Which input schemas get the argument, and what the tools for it are called.
@Suite struct HandleArgumentTests {
    private static let extended = [
        #"{}"#, #"{"type":"object"}"#, #"{"type":"object","properties":{}}"#,
        #"{"type":"object","properties":{"a":{"$ref":"a"}},"$defs":{"a":{"additionalProperties":false}}}"#,
        #"{"properties":{"a":{"enum":[1]}},"additionalProperties":false,"required":["a"]}"#,
        #"{"additionalProperties":{"type":"string"}}"#, #"{"unevaluatedProperties":true}"#,
        #"{"properties":{"b":{"properties":{"session_handle":{}}}}}"#,
        #"{"description":"takes a \"session_handle\""}"#,
        #"{"anyOf":[{"required":["a"]},{"required":["b"]}]}"#,
        #"{"oneOf":[{"properties":{"a":{"const":1}}}],"additionalProperties":true}"#,
        #"{"if":{"properties":{"a":{"const":1}}},"then":{"required":["b"]}}"#,
    ]
    private static let leftAlone = [
        #"{"$ref":"a","$defs":{"a":{}}}"#, #"{"properties":{},"$dynamicRef":"a"}"#, #"{"$recursiveRef":"a"}"#,
        #"{"properties":{},"unevaluatedProperties":false}"#, #"{"unevaluatedProperties":{"type":"string"}}"#,
        #"{"allOf":[{"additionalProperties":false}]}"#, #"{"allOf":[{"$ref":"a"}]}"#,
        #"{"anyOf":[{"required":["a"]}],"additionalProperties":false}"#,
        #"{"oneOf":[{"unevaluatedProperties":false}]}"#, #"{"then":{"maxProperties":2}}"#,
        #"{"dependentSchemas":{"a":{"propertyNames":{"const":"a"}}}}"#, #"{"not":{"patternProperties":{"^s":{}}}}"#,
        #"{"patternProperties":{"^x-":{}}}"#, #"{"propertyNames":{"maxLength":3}}"#, #"{"maxProperties":1}"#,
        #"{"const":{}}"#, #"{"enum":[{}]}"#, #"{"properties":[]}"#, #"{"required":true}"#,
        #"{"properties":{},"properties":{}}"#, #"[]"#, #"true"#, #"null"#,
    ]
    private static let own = [
        #"{"properties":{"session_handle":{}}}"#, #"{"properties":{"a":{},"session\u005fhandle":{"type":"string"}}}"#,
        #"{"$ref":"a","$defs":{"a":{"properties":{"session_handle":{}}}}}"#,
        #"{"allOf":[{"properties":{"session_handle":{}}}]}"#,
    ]

    private static func fit(_ schema: String) throws -> HandleArgument.Fit {
        let document = try JSONDocument(Array(schema.utf8))
        return HandleArgument.fit(of: document.root, in: document)
    }

    @Test(arguments: extended) func isExtended(schema: String) throws { #expect(try Self.fit(schema) == .extended) }

    @Test(arguments: leftAlone) func isLeftAlone(schema: String) throws { #expect(try Self.fit(schema) == .leftAlone) }

    @Test(arguments: own) func isTheToolsOwn(schema: String) throws { #expect(try Self.fit(schema) == .own) }

    private static func facts(_ names: [String]) throws -> ToolFacts {
        let tools = names.map { #"{"name":"\#($0)"}"# }.joined(separator: ",")
        let document = try JSONDocument(Array(#"{"tools":[\#(tools)]}"#.utf8))
        var facts = ToolFacts()
        facts.addTools(document.root, in: document)
        return facts
    }

    private static func names(beside tools: [String]) throws -> String? {
        try HandleToolNames(avoiding: facts(tools)).map {
            #expect(HandleToolNames.mayBeOne($0.open) && HandleToolNames.mayBeOne($0.close))
            return "\($0.openName) \(String(decoding: $0.close, as: UTF8.self))"
        }
    }

    @Test func namesAreThoseOfNoTool() throws {
        #expect(try Self.names(beside: []) == "open_session close_session")
        #expect(try Self.names(beside: ["x", "Open_session"]) == "open_session close_session")
        #expect(try Self.names(beside: ["open_session"]) == "remora_open_session remora_close_session")
        #expect(try Self.names(beside: ["close_session"]) == "remora_open_session remora_close_session")
        let taken = ["open_session", "remora_close_session", "remora_2_open_session"]
        #expect(try Self.names(beside: taken) == "remora_3_open_session remora_3_close_session")
        #expect(try Self.names(beside: taken + ["remora_3_open_session"]) == nil)
        for name in ["open_sessions", "remora_", "xopen_session", "open_session ", ""] {
            #expect(!HandleToolNames.mayBeOne(Array(name.utf8)))
        }
    }

    private static func mention(_ params: String, method: Method = .callTool) throws -> HandleMention {
        let document = try JSONDocument(Array(#"{"params":\#(params)}"#.utf8))
        let params = try #require(document.value("params", of: document.root))
        let meta = try #require(document.value("_meta", of: params))
        return ModernRequest(
            document: document, id: document.root, method: method, params: params,
            meta: RequestMeta(meta, in: document)
        ).handleMention
    }

    @Test func metaWins() throws {
        let a = Array("a".utf8)
        #expect(try Self.mention(#"{"arguments":{"session_handle":"a"},"_meta":{}}"#) == .argument(a))
        #expect(try Self.mention(#"{"arguments":{"session_handle":7},"_meta":{}}"#) == .argument(nil))
        #expect(try Self.mention(#"{"arguments":{"session_handle":null},"_meta":{}}"#) == .nothing)
        #expect(try Self.mention(#"{"arguments":{"x":{"session_handle":"a"}},"_meta":{}}"#) == .none)
        #expect(try Self.mention(#"{"arguments":{"session_handle":"a"},"_meta":{}}"#, method: .getPrompt) == .none)
        let both = #"{"arguments":{"session_handle":"b"},"_meta":{"dev.remora/session":"a"}}"#
        #expect(try Self.mention(both) == .metadata(a))
        #expect(try Self.mention(both, method: .getPrompt) == .metadata(a))
        #expect(try Self.mention(#"{"_meta":{"dev.remora/session":null}}"#) == .metadata(nil))
    }
}
