import Testing

@testable import JSONText

@Suite struct LookupTests {
    /// Lookups give the same whether the outline has the members or they are looked for in the text.
    @Test(arguments: [0, 1, 2, 3, 10])
    func members(recording: Int) throws {
        let document = try JSONDocument(
            text:
                #" {"id" : 0, "params":{"_meta": {"x":{"deep":{"er":1}}, "n\u0061me":"v"},"list":[{"a":1}]},"e":{} }"#,
            recording: recording)
        let root = document.root
        #expect(root.kind == .object)
        #expect(document.members(of: root).map { document.name(of: $0) } == ["id", "params", "e"])
        #expect(document.members(of: root).map { document.bytes[$0.range].first } == [.quote, .quote, .quote])
        let params = try #require(document.value("params", of: root))
        let meta = try #require(document.member("_meta", of: params))
        #expect(document.text(meta.value) == #"{"x":{"deep":{"er":1}}, "n\u0061me":"v"}"#)
        #expect(
            String(decoding: document.bytes[meta.range], as: UTF8.self)
                == #""_meta": {"x":{"deep":{"er":1}}, "n\u0061me":"v"}"#)
        #expect(document.value("name", of: meta.value).flatMap { document.string($0) } == "v")
        let deep = try #require(document.value("x", of: meta.value).flatMap { document.value("deep", of: $0) })
        #expect(document.value("er", of: deep).flatMap { document.integer($0) } == 1)
        let list = try #require(document.value("list", of: params))
        #expect(document.elements(of: list).flatMap { document.members(of: $0) }.count == 1)
        #expect(document.value("e", of: root).map { document.members(of: $0).count { _ in true } } == 0)
        #expect(document.value("nothing", of: root) == nil)
    }

    @Test func howItIsSpelled() throws {
        for size in 0...40 {
            let value = Array("\"\(String(repeating: "x", count: size))\"".utf8)
            let document = try JSONDocument(Array(#"{"a":"#.utf8) + value + Array("}".utf8))
            let found = try #require(document.value("a", of: document.root))
            #expect(document.isSpelled(found, as: value))
            #expect(!document.isSpelled(found, as: value + [0x20]) && !document.isSpelled(found, as: []))
            for index in value.indices {
                var other = value
                other[index] ^= 1
                #expect(!document.isSpelled(found, as: other))
            }
        }
    }

    @Test func onlyObjectsHaveMembersAndOnlyArraysElements() throws {
        for text in ["1", "null", #""{}""#, "[]", "{}", "[1]", #"{"a":1}"#] {
            let document = try JSONDocument(text: text)
            #expect(document.members(of: document.root).contains { _ in true } == (text == #"{"a":1}"#))
            #expect(document.elements(of: document.root).contains { _ in true } == (text == "[1]"))
            #expect((document.value("a", of: document.root) != nil) == (text == #"{"a":1}"#))
        }
    }

    /// Names are compared several bytes at a time: here are all that are equally long and differ in one byte.
    @Test(arguments: 1..<40)
    func namesThatDifferInOneByte(length: Int) throws {
        let name = Array("io.modelcontextprotocol/clientCapability".utf8.prefix(length))
        var names = [name]
        for index in name.indices {
            var other = name
            other[index] ^= 1
            let isEqual = name.span.isEqual(to: other.span)
            #expect(!isEqual)
            names.append(other)
        }
        let copy = names[0]
        let isEqual = name.span.isEqual(to: copy.span)
        #expect(isEqual)

        // Sixteen is the most that are compared each with each.
        for others in [names.prefix(16), names.suffix(16)] {
            let members = others.map { "\"\(String(decoding: $0, as: UTF8.self))\":0" }
            #expect(try !duplicates(members))
            #expect(try duplicates([members[members.count - 1]] + members.suffix(15)))
        }
    }

    private func duplicates(_ members: [String]) throws -> Bool {
        let document = try JSONDocument(text: "{\(members.joined(separator: ","))}")
        return document.hasDuplicateNames(document.root)
    }

    @Test func theFirstOfSeveralIsFound() throws {
        let document = try JSONDocument(text: #"{"\u0061":1,"a":2}"#)
        #expect(document.value("a", of: document.root).map { document.text($0) } == "1")
    }

    @Test(
        arguments: [
            ("a", "a", true), (#"\u0061"#, "a", true), (#"\u0061b"#, "a", false), ("a", "ab", false),
            ("ab", "a", false),
            ("", "", true), (#"\/"#, "/", true), (#"\n"#, "\n", true), (#"\n"#, #"\n"#, false), (#"\\n"#, #"\n"#, true),
            ("é", "é", true), (#"\u00E9"#, "é", true), (#"\uD83D\uDE00"#, "😀", true), (#"\ud83d"#, "\u{FFFD}", true),
            (#"\u0000"#, "\0", true), (#"\""#, "\"", true),
        ] as [(String, StaticString, Bool)])
    func namesCompareAsTheyRead(_ spelling: String, _ name: StaticString, _ equal: Bool) throws {
        for recording in [0, 1] {
            let document = try JSONDocument(text: "{\"\(spelling)\":\"\(spelling)\"}", recording: recording)
            let member = try #require(document.members(of: document.root).first { _ in true })
            #expect(document.name(of: member, equals: name) == equal)
            #expect((document.member(name, of: document.root) == member) == equal)
            // A string with half a pair is no text, whatever it is shown as.
            let isText = spelling != #"\ud83d"#
            #expect(document.string(member.value, equals: name) == (equal && isText))
            #expect(document.string(member.value, equals: Array("\(name)".utf8)) == (equal && isText))
        }
    }

    @Test(
        arguments: [
            ("io.x/a", "io.x/", true), (#"io.x\/a"#, "io.x/", true), (#"\u0069o.x/"#, "io.x/", true),
            ("io.x", "io.x/", false),
            ("", "", true), ("a", "", true), ("jo.x/", "io.x/", false),
        ] as [(String, StaticString, Bool)])
    func prefixes(_ spelling: String, _ prefix: StaticString, _ expected: Bool) throws {
        let document = try JSONDocument(text: "{\"\(spelling)\":1}")
        #expect(document.members(of: document.root).map { document.hasName($0, prefix: prefix) } == [expected])
    }

    @Test(arguments: [
        ("{}", false), (#"{"a":1,"b":1}"#, false), (#"{"a":1,"a":1}"#, true), (#"{"a":1,"b":2,"\u0061":1}"#, true),
        (#"{"\ud83d\ude00":1,"😀":1}"#, true), ("[1,1]", false), (#"{"a":{"b":1},"b":1}"#, false),
        (#"{"\ud800":1,"\ud801":1}"#, true), (#"{"":1,"":1}"#, true),
    ])
    func duplicates(_ text: String, _ expected: Bool) throws {
        for recording in [0, 1] {
            let document = try JSONDocument(text: text, recording: recording)
            #expect(document.hasDuplicateNames(document.root) == expected)
        }
    }

    @Test(arguments: [15, 16, 17, 1022, 1023, 1024, 1025, 10_000, 10_001, 100_000])
    func manyMembers(count: Int) throws {
        let members = (0..<count).map { #""name \#($0)":{"value":\#($0)}"# }.joined(separator: ",")
        let document = try JSONDocument(text: #"{"first":{"x":1},"all":{\#(members)},"last":[{}]}"#)
        let all = try #require(document.value("all", of: document.root))
        #expect(document.members(of: document.root).count { _ in true } == 3)
        #expect(document.members(of: all).count { _ in true } == count)
        #expect(document.hasDuplicateNames(all) == (count > JSONDocument.maxNames))
        #expect(document.value("last", of: document.root).map { document.text($0) } == "[{}]")
        let again = try JSONDocument(text: #"{\#(members),"n\u0061me 3":0}"#)
        #expect(again.hasDuplicateNames(again.root))
    }

    /// However much is inside, the message and its params are looked up without a look at the text.
    @Test(arguments: [1, 700, 703, 704, 705, 860, 1023, 1024, 5000])
    func theOuterLevelsAreRecordedWhateverIsInside(count: Int) throws {
        let members = (0..<count).map { #""\#($0)":0"# }.joined(separator: ",")
        let document = try JSONDocument(
            text: #"{"params":{"a":{\#(members)},"b":{\#(members)},"c":1},"id":1}"#)
        let params = try #require(document.value("params", of: document.root))
        #expect(document.isQuick(document.root) && document.isQuick(params))
        #expect(document.value("c", of: params) != nil && document.value("id", of: document.root) != nil)
    }

    @Test(arguments: [
        (#""\ud800""#, "\u{FFFD}", false), (#""\ufffd""#, "\u{FFFD}", true), ("\"\u{FFFD}\"", "\u{FFFD}", true),
        (#""a\udc00b""#, "a\u{FFFD}b", false), (#""\ud800\ud800\udc00""#, "\u{FFFD}\u{10000}", false),
        (#""\ud800\udc00""#, "\u{10000}", true), (#""\\ud800""#, #"\ud800"#, true),
    ])
    func halfAPairIsNoText(literal: String, text: String, isEqual: Bool) throws {
        let document = try JSONDocument(text: literal)
        #expect(document.string(document.root) == text)
        #expect(document.string(document.root, equals: Array(text.utf8)) == isEqual)
    }

    @Test func theOutlineDoesNotGrowWithoutLimit() throws {
        let members = repeatElement(#""":0"#, count: 5000).joined(separator: ",")
        for text in ["{\(members)}", #"{"a":{\#(members)},"b":{\#(members)},\#(members)}"#] {
            let document = try JSONDocument(text: text)
            #expect(document.outline.entries.count <= JSONOutline.entryLimit)
            #expect(document.members(of: document.root).count { $0.value.range.count == 1 } == 5000)
        }
    }

    @Test(
        arguments: [
            ("0", 0), ("-0", 0), ("7", 7), ("-12", -12), ("9223372036854775807", .max), ("-9223372036854775808", .min),
            ("9223372036854775808", nil), ("-9223372036854775809", nil), ("12345678901234567890123", nil), ("1.0", nil),
            ("1e2", nil), ("\"1\"", nil), ("true", nil), ("[1]", nil),
        ] as [(String, Int64?)])
    func integers(_ text: String, _ expected: Int64?) throws {
        let document = try JSONDocument(text: text)
        #expect(document.integer(document.root) == expected)
    }

    @Test(arguments: [("true", true), ("false", false), ("null", nil), ("\"true\"", nil)] as [(String, Bool?)])
    func booleans(_ text: String, _ expected: Bool?) throws {
        let document = try JSONDocument(text: text)
        #expect(document.boolean(document.root) == expected)
    }

    @Test(
        arguments: [
            (#""""#, ""), (#""abc""#, "abc"), (#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{C}\n\r\t"),
            (#""\u0000é\u00E9""#, "\0éé"),
            (#""\ud83d\ude00!""#, "😀!"), (#""\ud83d!""#, "\u{FFFD}!"), (#""\ude00\ud83d""#, "\u{FFFD}\u{FFFD}"),
            (#""\ud83d\ud83d\ude00""#, "\u{FFFD}😀"), (#""\ud83d\n""#, "\u{FFFD}\n"), (#""\ud83d\u0041""#, "\u{FFFD}A"),
            (#""\udbff\udfff""#, "\u{10FFFF}"), ("1", nil), ("{}", nil),
        ] as [(String, String?)])
    func strings(_ text: String, _ expected: String?) throws {
        let document = try JSONDocument(text: text)
        #expect(document.string(document.root) == expected)
        #expect(document.stringBytes(document.root) == expected.map { Array($0.utf8) })
    }

    @Test func randomDocumentsReadAsTheyWereWritten() throws {
        var random = Seeded(2)
        for _ in 0..<2000 {
            let tree = Tree.random(depth: 5, using: &random)
            let text = tree.text(&random)
            for recording in [0, 3] {
                let document = try JSONDocument(text: text, recording: recording)
                #expect(Tree(document.root, of: document) == tree)
            }
        }
    }
}
