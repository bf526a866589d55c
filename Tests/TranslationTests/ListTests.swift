import JSONText
import MCP
import Testing

@testable import Translation

/// Lists of several pages, put together and cut again.
@Suite struct ListTests {
    private static let context = ResultContext(
        serverInfo: ServerInfo(Array(#"{"name":"old","version":"1.0"}"#.utf8)),
        caching: CachePolicy(ttlMs: 30_000, scope: .private))
    private static let tail =
        #""_meta":{"io.modelcontextprotocol/serverInfo":{"name":"old","version":"1.0"}},"ttlMs":5,"cacheScope":"private""#

    private struct List {
        var assembly: ListAssembly
        var cursors: [String?] = []

        /// - Parameter pages: results of the server.
        init(_ pages: [String], of method: Method = .listPrompts) throws {
            assembly = ListAssembly(of: method, with: ListTests.context)
            var cursor: [UInt8]?
            for page in pages {
                let document = try JSONDocument(Array(page.utf8))
                cursor = try assembly.addPage(document.root, in: document, at: cursor)
                cursors.append(cursor.map { String(decoding: $0, as: UTF8.self) })
            }
        }

        /// The responses that a client gets, one a page.
        func responses(pageSize: Int = 1 << 20) -> [String] {
            assembly.makePages(of: pageSize).map { ListTests.string($0) }
        }
    }

    private static func string(_ page: ListPage, nextCursor: String? = nil) -> String {
        var bytes: [UInt8] = []
        page.pageResponse(id: Array("7".utf8)[...], ttlMs: 5, nextCursor: nextCursor.map { Array($0.utf8) })
            .append(to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func response(_ members: String, _ tail: String = tail) -> String {
        #"{"jsonrpc":"2.0","id":7,"result":{"resultType":"complete",\#(members),\#(tail)}}"#
    }

    @Test func onePageStaysAsItIs() throws {
        let list = try List([#"{ "prompts" : [ {"name":"a"} ,{ "name":"b","x":1.0} ], "vendor":{"k":1e400} }"#])
        #expect(list.cursors == [nil])
        #expect(list.assembly.itemCount == 2)
        #expect(
            list.responses() == [
                #"{"jsonrpc":"2.0","id":7,"result":{ "resultType":"complete","prompts" : [ {"name":"a"} ,{ "name":"b","x":1.0} ], "vendor":{"k":1e400},\#(Self.tail) }}"#
            ])
    }

    @Test func aCursorThatComesAgainEndsTheList() throws {
        let first = #"{"prompts":[{"name":"a"}],"nextCursor":""}"#
        let second = #"{"prompts":[{"name":"b"}],"nextCursor":""}"#
        let list = try List([first, second])
        #expect(list.cursors == ["\"\"", nil])
        #expect(list.assembly.itemCount == 2)
        // The server has not looked at the cursor.
        let heedless = try List([first, first])
        #expect(heedless.cursors == ["\"\"", nil])
        #expect(heedless.assembly.itemCount == 1)
        let cycle = try List(["a", "b", "a"].map { #"{"prompts":[{"name":"x"}],"nextCursor":"\#($0)"}"# })
        #expect(cycle.cursors == ["\"a\"", "\"b\"", nil])
    }

    @Test func aNumberIsACursor() throws {
        #expect(try List([#"{"prompts":[],"nextCursor":0}"#]).cursors == ["0"])
        #expect(try List([#"{"prompts":[],"nextCursor":false}"#]).cursors == [nil])
    }

    @Test func severalPagesBecomeOne() throws {
        let list = try List([
            #"{"prompts":[{"name":"a"}, {"name":"b"}],"nextCursor":"","vendor":1}"#,
            #"{"prompts":[ ],"nextCursor":"\u0032","vendor":2}"#,
            #"{"other":3,"prompts":[{ "name":"c" }]}"#,
        ])
        #expect(list.cursors == [#""""#, #""\u0032""#, nil])
        #expect(list.assembly.itemCount == 3 && list.assembly.partCount == 3)
        #expect(
            list.responses() == [
                Self.response(#""prompts":[{"name":"a"},{"name":"b"},{ "name":"c" }],"vendor":1"#)
            ])
        #expect(list.assembly.text == Array(#"{"name":"a"},{"name":"b"},{ "name":"c" },"#.utf8))
    }

    @Test func aLongOneIsCutBetweenItems() throws {
        let list = try List([#"{"prompts":[1234,5678,"much longer than a page",9,10]}"#])
        let starts = list.assembly.makePages(of: 10).map(\.start)
        #expect(starts == [0, 2, 3])
        #expect(
            list.responses(pageSize: 10) == [
                Self.response(#""prompts":[1234,5678]"#), Self.response(#""prompts":["much longer than a page"]"#),
                Self.response(#""prompts":[9,10]"#),
            ])
        #expect(
            list.assembly.text == (try List([#"{"prompts":[1234,5678,"much longer than a page",9,10]}"#])).assembly.text
        )
    }

    @Test func aCursorAndTheRestOfTheTimeComeWithEachAnswer() throws {
        let list = try List([#"{"prompts":[],"nextCursor":"server's","ttlMs":9999999,"cacheScope":"public"}"#])
        #expect(
            Self.string(list.assembly.firstPart, nextCursor: "ours")
                == Self.response(
                    #""prompts":[],"nextCursor":"ours","ttlMs":5,"cacheScope":"private""#,
                    #""_meta":{"io.modelcontextprotocol/serverInfo":{"name":"old","version":"1.0"}}"#))
        #expect(!Self.string(list.assembly.firstPart).contains("nextCursor"))
    }

    @Test(arguments: ["null", "{}", "[]", "true"])
    func onlyAStringOrANumberLeadsOn(cursor: String) throws {
        let list = try List([#"{"prompts":[],"nextCursor":\#(cursor)}"#])
        #expect(list.cursors == [nil])
        #expect(list.responses() == [Self.response(#""prompts":[]"#)])
    }

    @Test(arguments: ["{}", #"{"prompts":null}"#, #"{"prompts":{}}"#])
    func aPageWithoutItemsCountsForNothing(page: String) throws {
        let list = try List([#"{"prompts":[1],"nextCursor":"2"}"#, page])
        #expect(list.assembly.itemCount == 1)
        #expect(list.responses() == [Self.response(#""prompts":[1]"#)])
    }

    /// A client that reads the last of two would get items that Remora has not seen to.
    @Test func itemsThatAreThereTwiceAreLeftOnce() throws {
        let list = try List([#"{"prompts":[1],"prompts":[2],"nextCursor":"2"}"#, #"{"prompts":[3]}"#])
        #expect(list.responses() == [Self.response(#""prompts":[1,3]"#)])
    }

    @Test(arguments: ["[]", "null", "1", #""x""#])
    func aResultThatIsNoObjectIsNone(page: String) {
        #expect(throws: TranslationError.notAnObject) { try List([page]) }
    }

    @Test func toolsAreTranslatedOnEachPage() throws {
        let list = try List(
            [
                #"{"tools":[{"name":"a","execution":{}}],"nextCursor":"2"}"#,
                #"{"tools":[{"execution":{},"name":"b","inputSchema":null}]}"#,
            ], of: .listTools)
        #expect(
            list.responses() == [
                Self.response(
                    #""tools":[{"name":"a","inputSchema":{"type":"object"}},{"name":"b","inputSchema":{"type":"object"}}]"#
                )
            ])
    }

    // MARK: What tools say

    @Test(
        arguments: [
            (#"{"readOnlyHint":true}"#, true), (#"{"idempotentHint":true}"#, true),
            (#"{"readOnlyHint":false,"idempotentHint":true}"#, true),
            (#"{"readOnlyHint":true,"destructiveHint":true}"#, true),
            (#"{"readOnlyHint":false}"#, false), (#"{"destructiveHint":false}"#, false), ("{}", false),
            (#"{"readOnlyHint":"true"}"#, false), (#"{"readOnlyHint":1}"#, false), ("null", false), ("[true]", false),
        ])
    func aToolSaysWhetherItMayBeCalledAgain(annotations: String, may: Bool) throws {
        let list = try List([#"{"tools":[{"name":"caf\u00e9","annotations":\#(annotations)}]}"#], of: .listTools)
        #expect(list.assembly.tools.mayBeRepeated(Array("café".utf8)) == may)
        // The same characters in other bytes: another tool.
        #expect(!list.assembly.tools.mayBeRepeated(Array("cafe\u{301}".utf8)))
        #expect(!list.assembly.tools.mayBeRepeated([]))
    }

    @Test func ofTwoToolsWithOneNameBothHaveToAllowIt() throws {
        let hint = #""annotations":{"readOnlyHint":true}"#
        for pages in [
            [#"{"tools":[{"name":"a",\#(hint)},{"name":"a"}]}"#], [#"{"tools":[{"name":"a"},{"name":"a",\#(hint)}]}"#],
            [#"{"tools":[{"name":"a",\#(hint)}],"nextCursor":""}"#, #"{"tools":[{"name":"a"}]}"#],
        ] {
            #expect(try !List(pages, of: .listTools).assembly.tools.mayBeRepeated([0x61]))
        }
        #expect(
            try List([#"{"tools":[{"name":"a",\#(hint)},{"name":"a",\#(hint)}]}"#], of: .listTools).assembly.tools
                .mayBeRepeated([0x61]))
    }

    @Test func headersOfAllPagesAreKnown() throws {
        func tool(_ name: String, _ header: String) -> String {
            #"{"name":"\#(name)","inputSchema":{"type":"object","properties":{"p":{"type":"string","x-mcp-header":"\#(header)"}}}}"#
        }
        let list = try List(
            [#"{"tools":[\#(tool("a", "One"))],"nextCursor":"2"}"#, #"{"tools":[\#(tool("b", "Two"))]}"#],
            of: .listTools)
        let known = list.assembly.tools.headerParameters
        #expect(known[[0x61]]?.headers == [Array("mcp-param-one".utf8)])
        #expect(known[[0x62]]?.headers == [Array("mcp-param-two".utf8)])
        #expect(known[[0x63]] == nil)
    }

    @Test func theServerIsAskedByItsOwnCursor() throws {
        #expect(
            String(decoding: ServerRequest.listRequest(.listPrompts, id: 3, cursor: nil), as: UTF8.self)
                == #"{"jsonrpc":"2.0","id":3,"method":"prompts/list","params":{}}"#)
        #expect(
            String(
                decoding: ServerRequest.listRequest(.listResourceTemplates, id: 4, cursor: Array(#""\u0032""#.utf8)),
                as: UTF8.self)
                == #"{"jsonrpc":"2.0","id":4,"method":"resources/templates/list","params":{"cursor":"\u0032"}}"#)
    }
}
