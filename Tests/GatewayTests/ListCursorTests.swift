import MCP
import Testing

@testable import Gateway

@Suite struct ListCursorTests {
    private static let methods: [Method] = [.listTools, .listPrompts, .listResources, .listResourceTemplates]
    private static let digest = (1...16).map { UInt8($0) }
    private static let cursors: [ListCursor] = [
        .item(digest: digest, start: 0), .item(digest: digest, start: 1), .item(digest: digest, start: 10_000),
        .page(cursor: Array(#""""#.utf8)), .page(cursor: Array(#""a\"é""#.utf8)),
        .page(cursor: [UInt8](repeating: 0x61, count: 16 << 10)),
    ]

    @Test(arguments: methods)
    func itComesBackForItsOwnListOnly(method: Method) {
        for cursor in Self.cursors {
            let bytes = cursor.sealedBytes(for: method)
            for other in Self.methods {
                #expect(ListCursor(bytes, for: other) == (other == method ? cursor : nil))
            }
        }
    }

    @Test func otherBytesAreNone() {
        let bytes = ListCursor.item(digest: Self.digest, start: 7).sealedBytes(for: .listTools)
        for count in 0..<bytes.count { #expect(ListCursor(Array(bytes.prefix(count)), for: .listTools) == nil) }
        #expect(ListCursor(bytes + [0], for: .listTools) == nil)
        #expect(ListCursor([1, 2] + bytes.dropFirst(2), for: .listTools) == nil)
    }
}
