import MCP
import Reactor
import Testing

@testable import Legacy

/// Which revisions are offered, and in which order.
@Suite struct IntroductionTests {
    private func offered(after words: String..., first: Revision = .newestLegacy) -> [String] {
        let introduction = Introduction(
            offering: first, capabilities: Array("{}".utf8), ids: RequestIDs(from: 1), until: .now + .seconds(60))
        var offered = [introduction.revision.rawValue]
        for said in words {
            guard introduction.goesOn(after: .refusedInitialize(Array(said.utf8))) else { break }
            offered.append(introduction.revision.rawValue)
        }
        return offered
    }

    @Test func theNewestThatTheServerNames() {
        #expect(
            offered(after: #"{"error":{"code":-32602,"data":{"supported":["2024-11-05","2025-03-26","1.0"]}}}"#)
                == ["2025-11-25", "2025-03-26"])
        #expect(offered(after: "we speak 2024-11-05 here") == ["2025-11-25", "2024-11-05"])
    }

    @Test func oneAfterTheOther() {
        let words = "Unsupported protocol version 2025-11-25"
        #expect(
            offered(after: words, words, words, words, words)
                == ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"])
    }

    @Test func noneIsOfferedTwice() {
        let named = #"{"error":{"data":{"supported":["2025-11-25","2025-03-26"]}}}"#
        #expect(offered(after: named, named) == ["2025-11-25", "2025-03-26"])
        #expect(offered(after: named, first: .v2024_11_05) == ["2024-11-05", "2025-11-25"])
    }

    @Test(
        arguments: [
            "", "Bad Request", #"{"error":{"code":-32601,"message":"Method not found"}}"#,
            #"{"error":{"code":-32602,"message":"params._meta needs the protocol version"}}"#,
            #"{"error":{"code":-32602,"message":"missing io.modelcontextprotocol/protocolVersion"}}"#,
            #"{"jsonrpc":"2.0","id":1,"error":{"code":-32022,"message":"version","data":{"supported":["2026-07-28"]}}}"#,
        ])
    func whatIsNotAboutTheVersionEndsIt(words: String) {
        #expect(offered(after: words) == ["2025-11-25"])
    }

    @Test func eachRequestHasAnIdOfItsOwn() {
        let introduction = Introduction(
            offering: .newestLegacy, capabilities: [], ids: RequestIDs(from: 7), until: .now + .seconds(60))
        #expect(introduction.id == 7)
        #expect(introduction.goesOn(after: .refusedInitialize(Array("unsupported protocol version".utf8))))
        #expect(introduction.id == 8)
    }
}
