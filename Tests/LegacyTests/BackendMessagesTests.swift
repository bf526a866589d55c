import MCP
import Testing

@testable import Legacy

/// Batches are taken apart in the one revision that has them, and refused in the others.
@Suite struct BackendMessagesTests {
    private static let two = #"[{"jsonrpc":"2.0","method":"a"},{"jsonrpc":"2.0","id":0,"method":"ping"}]"#

    private func count(_ text: String, _ revision: Revision) throws -> Int {
        Array(try BackendMessages(Array(text.utf8), revision: revision, maxDepth: 8)).count
    }

    @Test func aBatchOf2025_03_26IsTakenApart() throws {
        #expect(try count(Self.two, .v2025_03_26) == 2)
        #expect(try count("[]", .v2025_03_26) == 0)
    }

    @Test(arguments: Revision.allCases.filter { $0 != .v2025_03_26 })
    func otherRevisionsHaveNone(revision: Revision) {
        #expect(throws: Envelope.Flaw.batch) { try count(Self.two, revision) }
    }

    @Test(arguments: Revision.allCases)
    func aSingleMessageIsOne(revision: Revision) throws {
        #expect(try count(#" {"jsonrpc":"2.0","id":"x","result":{}} "#, revision) == 1)
    }

    @Test(
        arguments: [
            "", "[", "nul", "null", "7", #""x""#, #"[[{"jsonrpc":"2.0","method":"a"}]]"#, "[null]",
            #"[{"jsonrpc":"2.0","method":"a"},{}]"#, #"{"jsonrpc":"1.0","method":"a"}"#, "[[[[[[[[[]]]]]]]]]",
            #"{"jsonrpc":"2.0","id":1,"id":2,"result":{}}"#, "\u{FEFF}{}",
        ])
    func whatIsNoMessageIsRefused(text: String) {
        #expect(throws: (any Error).self) { try count(text, .v2025_03_26) }
    }
}
