import JSONText
import MCP
import Testing

@testable import Translation

@Suite struct ToolFailureTests {
    @Test(
        arguments: [
            (nil, ""), (#"{"name":"old"}"#, #","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"old"}}"#),
        ] as [(String?, String)])
    func isAResultThatTheModelReads(serverInfo: String?, meta: String) throws {
        let text = #"{"jsonrpc":"2.0","id":"c","method":"tools/call","params":{"name":"t","_meta":{}}}"#
        let envelope = try Envelope(JSONDocument(Array(text.utf8)))
        guard case .request(let id, _) = envelope.kind else { return #expect(Bool(false), "no request") }
        let request = ModernRequest(
            document: envelope.document, id: id, method: .callTool, params: try #require(envelope.params),
            meta: RequestMeta(try #require(envelope.meta), in: envelope.document))
        let response = MultiRoundTrip.toolFailure(
            #"It "failed"."#, serverInfo: serverInfo.map { Array($0.utf8) }, answering: request)
        let content = #"[{"type":"text","text":"It \"failed\"."}]"#
        #expect(
            String(decoding: response, as: UTF8.self)
                == #"{"jsonrpc":"2.0","id":"c","result":{"resultType":"complete","content":\#(content),"isError":true\#(meta)}}"#
        )
    }
}
