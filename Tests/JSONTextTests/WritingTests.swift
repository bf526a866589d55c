import Testing

@testable import JSONText

@Suite struct WritingTests {
    private func written(_ write: (inout [UInt8]) -> Void) -> String {
        var out: [UInt8] = []
        write(&out)
        return String(decoding: out, as: UTF8.self)
    }

    @Test(arguments: [
        ("", #""""#), ("abc", #""abc""#), ("\"\\/", #""\"\\/""#), ("\u{8}\t\n\u{C}\r", #""\b\t\n\f\r""#),
        ("\0\u{1}\u{1F}\u{7F}", "\"\\u0000\\u0001\\u001f\u{7F}\""), ("é😀\u{2028}", "\"é😀\u{2028}\""),
        ("0123456789abcdef\"0123456789abcdef\n", #""0123456789abcdef\"0123456789abcdef\n""#),
    ])
    func strings(_ string: String, _ expected: String) throws {
        #expect(written { $0.appendJSON(string) } == expected)
        #expect(written { $0.appendJSON(utf8: Array(string.utf8)[...]) } == expected)
        let document = try JSONDocument(text: expected)
        #expect(document.string(document.root) == string)
    }

    @Test func whatIsNotUTF8IsRepaired() {
        #expect(
            written { $0.appendJSON(utf8: [0x61, 0xFF, 0x62, 0xED, 0xA0, 0x80]) }.hasPrefix("\"a\u{FFFD}b\u{FFFD}"))
    }

    @Test func integers() {
        #expect(written { $0.appendJSON(Int.min) } == "-9223372036854775808")
        #expect(written { $0.appendJSON(Int.max) } == "9223372036854775807")
        #expect(written { $0.appendJSON(0) } == "0")
    }

    @Test(arguments: [
        (#" { "b" : [ 1.0 , -0 , 1E2 ] , "a" : { } } "#, #"{"a":{},"b":[1.0,-0,1E2]}"#),
        (#"{"é":1,"z":2,"\u00e9a":3,"":4}"#, #"{"":4,"z":2,"é":1,"éa":3}"#),
        (#"{"b":1,"a":2,"b":0}"#, #"{"a":2,"b":1,"b":0}"#),
        (#"["\u0041\/\u000a\ud83d\ude00\ud800"]"#, "[\"A/\\n😀\u{FFFD}\"]"), ("[ ]", "[]"), ("{ }", "{}"),
        (" null ", "null"),
        (#"{"aa":1,"a":2,"\u0061b":3}"#, #"{"a":2,"aa":1,"ab":3}"#),
        (
            #"{"c":{"y":{"q":1,"p":2},"x":[{"n":1,"m":2}]},"b":1}"#,
            #"{"b":1,"c":{"x":[{"m":2,"n":1}],"y":{"p":2,"q":1}}}"#
        ),
    ])
    func canonical(_ text: String, _ expected: String) throws {
        let document = try JSONDocument(text: text)
        #expect(written { document.appendCanonical(of: document.root, into: &$0) } == expected)
    }

    /// In the most naive way.
    private func canonical(_ tree: Tree) throws -> String {
        switch tree {
        case .leaf(let spelling):
            let document = try JSONDocument(text: spelling)
            return document.string(document.root).map { text in written { $0.appendJSON(text) } } ?? spelling
        case .array(let elements):
            return try "[" + elements.map { try canonical($0) }.joined(separator: ",") + "]"
        case .object(let members):
            let sorted = members.enumerated().sorted { left, right in
                left.element.name.utf8.elementsEqual(right.element.name.utf8)
                    ? left.offset < right.offset
                    : left.element.name.utf8.lexicographicallyPrecedes(right.element.name.utf8)
            }
            let inside = try sorted.map { _, member in
                try written { $0.appendJSON(member.name) } + ":" + canonical(member.value)
            }
            return "{" + inside.joined(separator: ",") + "}"
        }
    }

    @Test func randomDocumentsHaveTheCanonicalTextOfTheirTree() throws {
        var random = Seeded(23)
        for _ in 0..<1500 {
            let tree = Tree.random(depth: 6, using: &random)
            let document = try JSONDocument(text: tree.text(&random))
            #expect(try written { document.appendCanonical(of: document.root, into: &$0) } == canonical(tree))
            var behind = Array("before".utf8)
            document.appendCanonical(of: document.root, into: &behind)
            #expect(try String(decoding: behind, as: UTF8.self) == "before" + canonical(tree))
        }
    }

    @Test func canonicalTextDoesNotDependOnSpellingAndStaysAsItIs() throws {
        var random = Seeded(4)
        for _ in 0..<1000 {
            let tree = Tree.random(depth: 4, using: &random)
            let forms = try (0..<2).map { _ in
                let document = try JSONDocument(text: tree.text(&random))
                return written { document.appendCanonical(of: document.root, into: &$0) }
            }
            #expect(forms[0] == forms[1])
            let document = try JSONDocument(text: forms[0])
            #expect(written { document.appendCanonical(of: document.root, into: &$0) } == forms[0])
        }
    }
}
