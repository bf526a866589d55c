import JSONText
import Testing

@testable import Translation

/// What is known of tools that run as tasks.
@Suite struct TaskSupportTests {
    private func parameters(_ tools: String...) throws -> HeaderParameters {
        var parameters = HeaderParameters()
        for page in tools {
            let document = try JSONDocument(Array(#"{"tools":[\#(page)]}"#.utf8))
            parameters.addTools(document.root, in: document)
        }
        return parameters
    }

    private func tool(_ execution: String) -> String { #"{"name":"t","inputSchema":{},"execution":\#(execution)}"# }

    @Test(arguments: [("required", TaskSupport.required), ("optional", .optional)])
    func isKnown(word: String, support: TaskSupport) throws {
        let parameters = try parameters(tool(#"{"taskSupport":"\#(word)"}"#))
        #expect(!parameters.isEmpty)
        let found = try #require(parameters[Array("t".utf8)])
        #expect(found.taskSupport == support && found.headers.isEmpty)
        #expect(parameters[Array("u".utf8)] == nil)
    }

    @Test(arguments: [
        #"{"taskSupport":"forbidden"}"#, "{}", "null", "[]", #"{"taskSupport":7}"#, #"{"taskSupport":"Required"}"#,
    ])
    func nothingElseCostsAnything(execution: String) throws { #expect(try parameters(tool(execution)).isEmpty) }

    /// Nobody knows which of two tools with one name is called: one that needs a task gets one.
    @Test func ofTwoWithOneNameOneMayNeedIt() throws {
        let (optional, required) = (tool(#"{"taskSupport":"optional"}"#), tool(#"{"taskSupport":"required"}"#))
        for pages in [[optional, required], [required, optional]] {
            let parameters = try parameters(pages[0], pages[1])
            #expect(parameters[Array("t".utf8)]?.taskSupport == .required)
        }
    }

    /// Headers and tasks of one tool do not displace each other.
    @Test func aToolMayHaveBoth() throws {
        let parameters = try parameters(
            #"{"name":"t","inputSchema":{"type":"object","properties":{"a":{"type":"string","x-mcp-header":"A"}}},"#
                + #""execution":{"taskSupport":"required"}}"#)
        let found = try #require(parameters[Array("t".utf8)])
        #expect(found.taskSupport == .required && found.headers == [Array("mcp-param-a".utf8)])
    }
}
