import Testing

@testable import JSONText

@Suite struct SpliceTests {
    private func changed(_ text: String, _ change: (inout JSONSplice, JSONDocument) throws -> Void) throws -> String {
        let document = try JSONDocument(text: text)
        var splice = JSONSplice(document)
        try change(&splice, document)
        return splice.renderedText(document.root).string
    }

    @Test(arguments: [
        ("{}", "{}"), ("{ }", "{ }"), (#"{"a":1}"#, "{}"), (#"{ "a":1 }"#, "{  }"), (#"{"a":1,"k":2}"#, #"{"k":2}"#),
        (#"{ "a" : 1 , "k" : 2 }"#, #"{ "k" : 2 }"#), (#"{"k":2,"a":1}"#, #"{"k":2}"#),
        (#"{"k":2 , "a":1 }"#, #"{"k":2 }"#), (#"{"k":1,"a":2,"l":3}"#, #"{"k":1,"l":3}"#),
        (#"{"a":1,"b":2,"k":3}"#, #"{"k":3}"#), (#"{"k":3,"a":1,"b":2}"#, #"{"k":3}"#),
        (#"{"a":1,"k":3,"b":2}"#, #"{"k":3}"#), (#"{"a":1,"b":2,"a":3}"#, "{}"),
        (#"{"k":0,"a":1,"l":0,"b":2,"m":0}"#, #"{"k":0,"l":0,"m":0}"#), (#"{"\u0061":1,"k":1.0}"#, #"{"k":1.0}"#),
        (#"[{"a":1}]"#, #"[{"a":1}]"#),
    ])
    func removal(_ text: String, _ expected: String) throws {
        #expect(try changed(text) { $0.removeMembers("a", "b", from: $1.root) } == expected)
    }

    @Test(arguments: [
        ("{}", #"{"a":0}"#, #"{"a":0}"#), ("{ }", #"{"a":0 }"#, #"{"a":0 }"#),
        (#"{"k":1}"#, #"{"a":0,"k":1}"#, #"{"k":1,"a":0}"#),
        (#"{ "k":1 }"#, #"{ "a":0,"k":1 }"#, #"{ "k":1,"a":0 }"#), (#"{"a":1}"#, #"{"a":0}"#, #"{"a":0}"#),
        (#"{"k":1,"\u0061" : 1 }"#, #"{"k":1,"\u0061" : 0 }"#, #"{"k":1,"\u0061" : 0 }"#),
        (#"{"a":1,"k":1,"a":2}"#, #"{"a":0,"k":1}"#, #"{"a":0,"k":1}"#),
        (#"{"a":1,"a":2,"k":1}"#, #"{"a":0,"k":1}"#, #"{"a":0,"k":1}"#), ("[]", "[]", "[]"),
    ])
    func setting(_ text: String, atStart: String, atEnd: String) throws {
        #expect(try changed(text) { $0.setMember("a", to: "0", in: $1.root, at: .start) } == atStart)
        #expect(try changed(text) { $0.setMember("a", to: Array("0".utf8), in: $1.root) } == atEnd)
        #expect(try changed(text) { $0.setMember(named: "a", to: Array("0".utf8), in: $1.root) } == atEnd)
    }

    @Test(arguments: [
        ("{}", #"{"s":1,"t":2,"e":3,"f":4}"#), (#"{"r":0}"#, #"{"s":1,"t":2,"e":3,"f":4}"#),
        (#"{"r":0,"r":1}"#, #"{"s":1,"t":2,"e":3,"f":4}"#), (#"{"k":0}"#, #"{"s":1,"t":2,"k":0,"e":3,"f":4}"#),
        (#"{"r":0,"k":0}"#, #"{"s":1,"t":2,"k":0,"e":3,"f":4}"#),
        (#"{"k":0,"r":0}"#, #"{"s":1,"t":2,"k":0,"e":3,"f":4}"#),
        (#"{"r":0,"f":0,"r":0}"#, #"{"s":1,"t":2,"f":4,"e":3}"#),
    ])
    func settingAndRemovingInOneObject(_ text: String, _ expected: String) throws {
        #expect(
            try changed(text) { splice, document in
                splice.setMember("s", to: "1", in: document.root, at: .start)
                splice.setMember("e", to: "3", in: document.root)
                splice.removeMembers("r", "s", from: document.root)
                splice.setMember("t", to: "2", in: document.root, at: .start)
                splice.setMember("f", to: "0", in: document.root)
                splice.setMember("f", to: "4", in: document.root)
            } == expected)
    }

    @Test func changesInsideOneAnother() throws {
        let text = #"{"gone":{"x":{}},"kept":{"x":{"y":1},"z":[1, 2]},"set":{"x":{}}}"#
        let result = try changed(text) { splice, document in
            func value(_ outer: StaticString, _ inner: StaticString) throws -> JSONValue {
                let object = try #require(document.value(outer, of: document.root))
                return try #require(document.value(inner, of: object))
            }
            splice.removeMembers("gone", from: document.root)
            splice.setMember("set", to: "0", in: document.root)
            splice.setMember("new", to: "0", in: try value("gone", "x"))
            splice.setMember("new", to: "0", in: try value("set", "x"))
            splice.replaceValue(try value("gone", "x"), with: "1")
            splice.setMember("new", to: "0", in: try value("kept", "x"), at: .start)
            splice.replaceValue(try value("kept", "z"), with: "[]")
        }
        #expect(result == #"{"kept":{"x":{"new":0,"y":1},"z":[]},"set":0}"#)
    }

    @Test func oneValueOutOfTheDocument() throws {
        let document = try JSONDocument(text: #"{"id":1,"result":{"a":1,"b":12345678901234567890123},"x":0}"#)
        let result = try #require(document.value("result", of: document.root))
        var splice = JSONSplice(document)
        splice.setMember("id", to: "2", in: document.root)
        splice.removeMembers("a", from: result)
        var text = splice.renderedText(result)
        text.prepend(#"{"result":"#)
        text.append(Array("}".utf8))
        text.append("")
        #expect(text.string == #"{"result":{"b":12345678901234567890123}}"#)
        #expect(text.count == text.string.utf8.count)
    }

    @Test func theWholeValueIsReplaced() throws {
        #expect(try changed(#" {"a":1} "#) { $0.replaceValue($1.root, with: "2") } == "2")
    }

    @Test func namesAreEscaped() throws {
        #expect(try changed("{}") { $0.setMember("a\"\n", to: "1", in: $1.root) } == #"{"a\"\n":1}"#)
        #expect(try changed(#"{"\u000a":1}"#) { $0.setMember("\n", to: "2", in: $1.root) } == #"{"\u000a":2}"#)
    }

    @Test func ofReplacementsTheOuterAndTheFirstWin() throws {
        let result = try changed("[[1],2]") { splice, document in
            let elements = Array(document.elements(of: document.root))
            splice.replaceValue(elements[1], with: "3")
            splice.replaceValue(elements[1], with: "4")
            for inner in document.elements(of: elements[0]) { splice.replaceValue(inner, with: "5") }
            splice.replaceValue(elements[0], with: "6")
        }
        #expect(result == "[6,3]")
    }

    @Test func shortPartsAreJoinedAndLongOnesAreNotCopied() throws {
        var short = SplicedText(Array("bcd".utf8))
        short.prepend("a")
        short.append("ef")
        #expect(short.slices.map { String(decoding: $0, as: UTF8.self) } == ["abcdef"])
        #expect(SplicedText([]).count == 0)
        #expect(SplicedText([]).slices.isEmpty)

        let payload = [UInt8](repeating: UInt8(ascii: "x"), count: SplicedText.maxCopied + 1)
        var long = SplicedText(payload)
        long.prepend("b")
        long.append("c")
        long.append("d")
        long.prepend("a")
        #expect(long.slices.map(\.count) == [1, 1, payload.count, 2])
        #expect(long.string == "ab" + String(decoding: payload, as: UTF8.self) + "cd")
        #expect(long.count == payload.count + 4)
        let isShared = long.slices[2].withUnsafeBufferPointer { part in
            payload.withUnsafeBufferPointer { $0.baseAddress == part.baseAddress }
        }
        #expect(isShared)
    }

    /// The short cuts for what nearly every message needs write what a splice does.
    @Test func walksGiveWhatASpliceGives() throws {
        var random = Seeded(5)
        for _ in 0..<4000 {
            let tree = Tree.random(depth: 3, using: &random)
            let document = try JSONDocument(
                text: tree.text(&random), recording: Int.random(in: 0...3, using: &random))
            guard document.root.kind == .object else { continue }
            let names = document.members(of: document.root).map(\.name)
            let removed = Set(names.filter { _ in Bool.random(using: &random) })

            var splice = JSONSplice(document)
            splice.removeMembers(from: document.root) { removed.contains($0.name) }
            var text = SplicedText()
            text.append(document.root, of: document) { removed.contains($0.name) }
            let spliced = splice.renderedText(document.root).string
            #expect(text.string == spliced)

            var adding = JSONSplice(document)
            adding.setMember("first", to: "[1]", in: document.root, at: .start)
            adding.setMember("last", to: "2", in: document.root)
            var more = SplicedText()
            more.append(
                document.root, of: document, adding: #""first":[1]"#, and: Array(#""last":2"#.utf8))
            let added = adding.renderedText(document.root).string
            #expect(more.string == added)
        }
    }

    @Test func manyRemovalsTakeNoTimeToSpeakOf() throws {
        let members = (0..<50_000).map { #""\#($0 % 2 == 0 ? "x/" : "")\#($0)":0"# }.joined(separator: ",")
        let result = try changed("{\(members)}") { splice, document in
            splice.removeMembers(from: document.root) { document.hasName($0, prefix: "x/") }
        }
        #expect(try Tree(result.utf8).memberCount == 25_000)
    }

    @Test func randomChangesGiveWhatTheyGiveInATree() throws {
        var random = Seeded(3)
        for _ in 0..<4000 {
            let tree = Tree.random(depth: 5, using: &random)
            let document = try JSONDocument(
                text: tree.text(&random), recording: Int.random(in: 0...3, using: &random))
            let changes = RandomChange.several(in: tree, using: &random)

            var splice = JSONSplice(document)
            for change in changes {
                change.apply(to: &splice, document.root)
            }
            let result = splice.renderedText(document.root)
            #expect(result.count == result.string.utf8.count)

            var expected = tree
            // Those further inside first: what is done around them wins.
            for change in changes.sorted(by: { $0.order > $1.order }) {
                change.apply(to: &expected, path: change.path[...])
            }
            if try Tree(result.string.utf8) != expected {
                Issue.record("\(tree)\n\(changes)\n\(result.string)")
                return
            }
        }
    }
}
