import JSONText
import MCP
import Testing

@testable import Translation

/// Which methods the extensions of a server have.
@Suite struct ExtensionTests {
    private static let ofExtensions = Method.allCases.filter(\.isOfExtension)

    private func handshake(_ capabilities: String) throws -> Handshake {
        let text = #"{"protocolVersion":"2025-11-25","capabilities":\#(capabilities),"serverInfo":{}}"#
        let document = try JSONDocument(Array(text.utf8))
        return try Handshake(document.root, in: document)
    }

    @Test(
        arguments: [
            ("{}", []), (#"{"extensions":{}}"#, []), (#"{"extensions":[]}"#, []), (#"{"experimental":{}}"#, []),
            (#"{"extensions":{"io.modelcontextprotocol/ui":{}}}"#, []),
            (#"{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#, []),
            (#"{"extensions":{"vendor.example/x":null,"vendor.example/y":false}}"#, []),
            (#"{"extensions":{"vendor.example/x":{}}}"#, [.vendor]),
            (#"{"extensions":{"vendor.example/x":true}}"#, [.vendor]),
            (#"{"experimental":{"old":{}}}"#, [.vendor]),
            (#"{"extensions":{"io.modelcontextprotocol/events":{}}}"#, [.vendor]),
            (#"{"extensions":{"io.modelcontextprotocol/skills":{}}}"#, [.listSkills, .getSkill]),
            (#"{"extensions":{"io.modelcontextprotocol/skills":true}}"#, [.listSkills, .getSkill]),
            (#"{"extensions":{"io.modelcontextprotocol/skills":null}}"#, []),
            (
                #"{"extensions":{"io.modelcontextprotocol/skills":{"directoryRead":true}}}"#,
                [.listSkills, .getSkill, .readDirectory]
            ),
            (
                #"{"extensions":{"io.modelcontextprotocol/skills":{"directoryRead":"yes"}}}"#,
                [.listSkills, .getSkill]
            ),
        ] as [(String, [Method])])
    func declaredExtensionsHaveTheirMethods(capabilities: String, expected: [Method]) throws {
        let handshake = try handshake(capabilities)
        #expect(Self.ofExtensions.filter { handshake.offersExtension(with: $0) } == expected)
    }
}
