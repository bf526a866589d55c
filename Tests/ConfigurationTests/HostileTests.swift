import Testing

@testable import Configuration

/// Files that are not written by mistake: each must end in an error, soon, in little memory and with a short report.
@Suite struct HostileTests {
    private func fill(_ first: String, _ repeated: String, upTo limit: Int) -> String {
        first + String(repeating: repeated, count: (limit - first.utf8.count) / repeated.utf8.count)
    }

    private func report(_ bytes: [UInt8]) -> String {
        switch Configuration.parseConfiguration(bytes, file: "f", environment: { _ in "secret" }) {
        case .success: ""
        case .failure(let errors): errors.description
        }
    }

    @Test(arguments: [
        ("", "["), ("", "{"), ("", "- "), ("", "? "), ("", "a"), ("", ":"), ("", " "), ("", "\r"), ("", "é"),
        ("a: \"", "x"), ("a: \"", "\\n"), ("a: |\n", " x\n"), ("a: >\n", " x\n\n"), ("", "a:\n"), ("", "--- a\n"),
        ("", "#\n"), ("[", "&a a,"), ("[", "*a,"), ("{", "a,"), ("{", "\"\":,"), ("backends: [", "{url: 1},"),
        ("", "%TAG !a! x\n"), ("a: ", "${"), ("a: ", "${a}"), ("[", "\"${a}\","), ("a", "\u{301}"),
        ("backends: [", "a,"), ("{threads: 1", ",threads: 1"),
    ])
    func endsInAShortReport(_ first: String, _ repeated: String) {
        // Not the full 1 MiB, which takes debug builds long.
        let report = report(Array(fill(first, repeated, upTo: 128 << 10).utf8))
        #expect(!report.isEmpty)
        #expect(report.utf8.count < 200_000)
    }

    @Test func manyIssuesAreCounted() {
        let text = (0..<300).map { "k\($0): 1\n" }.joined()
        let report = printed(withBackend(text))
        #expect(report.hasSuffix("\nremora.yaml: and 200 more errors"))
        #expect(report.split(separator: "\n").count == 301)
    }

    @Test func oneByteTooMany() {
        let text = fill("backends: [{url: http://b}]\n", "#", upTo: 1 << 20) + "#"
        #expect(
            report(Array(text.utf8))
                == "f: larger than 1 MiB: give the path of a Remora configuration, which is a page or two")
        #expect(report(Array(text.utf8.dropLast())) == "")
    }

    @Test(
        arguments: [
            ([0xFF, 0xFE], 1, 1), ([0x61, 0xC3], 1, 2), (Array("log:\n  é".utf8) + [0xED, 0xA0, 0x80], 2, 4),
            ([0xC0, 0x80], 1, 1), ([0xF5, 0x80, 0x80, 0x80], 1, 1),
        ] as [([UInt8], Int, Int)])
    func notUTF8(_ text: [UInt8], _ line: Int, _ column: Int) {
        #expect(
            report(text).hasPrefix(
                "f:\(line):\(column): not UTF-8: save the file in that encoding, and remove this character\n"))
    }

    @Test(arguments: ["replicas: {peers: {\"a\\nb\": }}", "backends: [{command: [x], env: {\"a\\nb\": }}]"])
    func aNameOfSeveralLines(_ text: String) {
        guard
            case .failure(let errors) = Configuration.parseConfiguration(
                Array(text.utf8), file: "f", environment: { _ in nil })
        else { return #expect(Bool(false), "accepted") }
        #expect(errors.issues.contains { $0.message.hasPrefix("a name in ") })
        #expect(!errors.issues.contains { $0.message.contains("\n") })
    }

    @Test func nulByte() {
        #expect(
            printed("log: \0")
                == """
                remora.yaml:1:6: not valid YAML, control characters are not allowed: remove the control character here
                    1 | log: \u{FFFD}
                      |      ^
                """)
    }

    @Test func truncatedAnywhere() {
        let text = Array("\u{FEFF}backends:\r\n  - {url: \"http://[::1]:1/\", 'é': [~, |\n".utf8)
        for count in text.indices {
            #expect(!report(Array(text.prefix(count))).isEmpty)
        }
    }
}
