import Testing

@testable import JSONText

@Suite struct PathsTests {
    private static let paths = [["a"], ["b", "c"], ["b"], ["b", "d", "e"], ["é"], ["a"]]

    private func find(_ text: String, _ recording: Int = 3) throws -> [String] {
        var paths = JSONPaths()
        for path in Self.paths { paths.addPath(path.map { Array($0.utf8) }) }
        let document = try JSONDocument(text: text, recording: recording)
        return document.findPaths(paths, in: document.root).map { found in
            switch found {
            case .nothing: "-"
            case .value(let value): document.text(value)
            case .ambiguous: "?"
            }
        }
    }

    @Test(arguments: [
        ("{}", ["-", "-", "-", "-", "-", "-"]), ("[]", ["-", "-", "-", "-", "-", "-"]),
        (#"{"a":1}"#, ["1", "-", "-", "-", "-", "1"]),
        (#"{ "x" : [1,{"a":2}] , "\u0061" : "s" }"#, [#""s""#, "-", "-", "-", "-", #""s""#]),
        (
            #"{"b":{"c":true,"x":{},"d":{"e":null}},"a":[{}]}"#,
            ["[{}]", "true", #"{"c":true,"x":{},"d":{"e":null}}"#, "null", "-", "[{}]"]
        ),
        (#"{"b":[{"c":1}]}"#, ["-", "-", #"[{"c":1}]"#, "-", "-", "-"]),
        (#"{"a":1,"a":1}"#, ["?", "-", "-", "-", "-", "?"]),
        (#"{"a":1,"\u0061":1,"b":0}"#, ["?", "-", "0", "-", "-", "?"]),
        (#"{"b":{"c":1},"b":{"d":{"e":2}}}"#, ["-", "?", "?", "?", "-", "-"]),
        (#"{"b":{"c":1,"c":2,"d":{"e":3}}}"#, ["-", "?", #"{"c":1,"c":2,"d":{"e":3}}"#, "3", "-", "-"]),
        (#"{"\u00e9":1}"#, ["-", "-", "-", "-", "1", "-"]), (#"{"\ud800":1}"#, ["-", "-", "-", "-", "-", "-"]),
    ])
    func pathsAreFound(text: String, expected: [String]) throws {
        for recording in [0, 3] { #expect(try find(text, recording) == expected) }
    }

    @Test func aNameThatReadersReadDifferentlyIsAmbiguous() throws {
        var paths = JSONPaths()
        paths.addPath([Array("\u{FFFD}".utf8)])
        let document = try JSONDocument(text: #"{"\ud800":1}"#)
        #expect(document.findPaths(paths, in: document.root) == [.ambiguous])
    }

    @Test func randomDocumentsGiveWhatLookupsGive() throws {
        var random = Seeded(17)
        for _ in 0..<2000 {
            let tree = Tree.random(depth: 4, using: &random)
            let document = try JSONDocument(text: tree.text(&random))
            guard document.root.kind == .object else { continue }
            var paths = JSONPaths()
            var expected: [JSONValue] = []
            for member in document.members(of: document.root) {
                paths.addPath([Array(document.name(of: member).utf8)])
                expected.append(member.value)
            }
            let found = document.findPaths(paths, in: document.root)
            guard !document.hasDuplicateNames(document.root) else {
                #expect(found.contains(.ambiguous))
                continue
            }
            for (found, value) in zip(found, expected) {
                guard case .value(let place) = found else {
                    #expect(found == .ambiguous)
                    continue
                }
                #expect(document.text(place) == document.text(value))
            }
        }
    }
}
