import JSONText
import Testing

@testable import Telemetry

@Suite struct LogLineTests {
    private static let time = Array("2026-07-28T12:34:56.789Z".utf8)

    private func line(_ format: LogLine.Format, _ fields: (inout LogLine) -> Void) -> String {
        var buffer: [UInt8] = []
        var line = LogLine(format, level: .info, event: "request", time: Self.time, after: &buffer)
        fields(&line)
        line.endLine(into: &buffer)
        return String(decoding: buffer, as: UTF8.self)
    }

    @Test func aLineOfEachFormat() {
        func fields(_ line: inout LogLine) {
            line.field("method", "tools/call" as StaticString)
            line.field("name", "add" as String)
            line.field("status", 200)
            line.field("ms", milliseconds: .microseconds(1234))
        }
        #expect(
            line(.json, fields)
                == #"{"ts":"2026-07-28T12:34:56.789Z","level":"info","event":"request","method":"tools/call","#
                + #""name":"add","status":200,"ms":1.234}"# + "\n")
        #expect(
            line(.text, fields)
                == #"2026-07-28T12:34:56.789Z info request method="tools/call" name="add" status=200 ms=1.234"# + "\n")
    }

    @Test(
        arguments: [
            (.zero, "0.000"), (.nanoseconds(999), "0.000"), (.microseconds(1), "0.001"), (.microseconds(50), "0.050"),
            (.milliseconds(12), "12.000"), (.seconds(1800), "1800000.000"), (.microseconds(999_999), "999.999"),
        ] as [(Duration, String)])
    func durationsAreMillisecondsWithThreeDecimals(duration: Duration, expected: String) {
        let text = line(.text) { $0.field("ms", milliseconds: duration) }
        #expect(text.hasSuffix(" ms=\(expected)\n"))
    }

    @Test(arguments: [0, 7, 9, 10, -1, -32603, Int.max, Int.min])
    func numbersAreWrittenWhole(number: Int) {
        #expect(line(.text) { $0.field("n", number) }.hasSuffix(" n=\(number)\n"))
    }

    /// Everything at which a reader of logs may break a line, or a terminal act.
    private static let breaks: [Unicode.Scalar] =
        (0..<0x20).map { Unicode.Scalar($0) } + [
            "\u{7F}", "\u{80}", "\u{85}", "\u{9B}", "\u{9F}", "\u{2028}", "\u{2029}",
        ]
        // Directions, and what is not seen.
        + ["\u{AD}", "\u{61C}", "\u{180E}", "\u{200B}", "\u{200C}", "\u{200D}", "\u{200E}", "\u{200F}", "\u{202A}"]
        + ["\u{202B}", "\u{202C}", "\u{202D}", "\u{202E}", "\u{2060}", "\u{2066}", "\u{2067}", "\u{2068}", "\u{2069}"]
        + ["\u{206F}", "\u{FEFF}", "\u{FFF9}", "\u{FFFB}"]

    @Test(arguments: breaks, [LogLine.Format.json, .text])
    func nothingThatAClientSendsBreaksTheLine(scalar: Unicode.Scalar, format: LogLine.Format) {
        let text = line(format) { $0.field("name", "a\(scalar)b\"c\\d" as String) }
        #expect(!text.dropLast().unicodeScalars.contains(scalar))
        #expect(text.unicodeScalars.last == "\n")
        var digits = String(scalar.value, radix: 16)
        digits = String(repeating: "0", count: 4 - digits.utf8.count) + digits
        #expect(text.contains(#""a\u\#(digits)b\"c\\d""#))
    }

    @Test(arguments: [LogLine.Format.json, .text])
    func tagsBecomeTwoEscapes(format: LogLine.Format) throws {
        let text = line(format) { $0.field("name", "a\u{E0041}b" as String) }
        #expect(text.contains(#""a\udb40\udc41b""#))
        guard format == .json else { return }
        let document = try JSONDocument(Array(text.utf8))
        #expect(document.value("name", of: document.root).flatMap { document.string($0) } == "a\u{E0041}b")
    }

    @Test func everyCharacterIsWrittenOrEscaped() throws {
        for value in UInt32(0)...0x10FFFF where value < 0x3000 || value % 61 == 0 || value > 0xFE00 && value < 0x10100 {
            guard let scalar = Unicode.Scalar(value) else { continue }
            let text = line(.json) { $0.field("name", "\(scalar)" as String) }
            let document = try JSONDocument(Array(text.utf8))
            #expect(document.value("name", of: document.root).flatMap { document.string($0) } == "\(scalar)")
            #expect(text.unicodeScalars.dropLast().contains { $0.isDeceptive } == false)
        }
    }

    @Test func wordsForAPersonShowWhatDeceives() {
        #expect(
            "a\u{202E}b\n\u{1B}[31m\u{E0041}".visibleText(keeping: ["\n"]) == "a\\u202eb\n\\u001b[31m\\udb40\\udc41")
        #expect("é\n\t".visibleText(keeping: ["\n", "\t"]) == "é\n\t")
    }

    @Test(arguments: ["é", "日本", "😀", "a\u{301}", "\u{FFFD}", "שלום", "مرحبا", "❤\u{FE0F}"])
    func otherTextStaysReadable(text: String) {
        #expect(line(.text) { $0.field("name", text) }.hasSuffix("name=\"\(text)\"\n"))
    }

    @Test(
        arguments: [
            String(repeating: "x", count: 1_000_000), String(repeating: "\n", count: 1_000_000),
            String(repeating: "😀", count: 100_000),
            // One character for Swift, however many marks are on it.
            "a" + String(repeating: "\u{301}", count: 1_000_000),
            String(repeating: "👩‍👩‍👧‍👧", count: 1000), String(repeating: "\r\n", count: 1000),
        ], [LogLine.Format.json, .text])
    func noClientDecidesHowLongALineGets(value: String, format: LogLine.Format) throws {
        let text = line(format) { $0.field("name", value) }
        #expect(text.utf8.count < 2000)
        #expect(text.utf8.count > 256)
        if format == .json { _ = try JSONDocument(Array(text.utf8)) }
    }

    @Test func hostileValuesLeaveTheLineJSON() throws {
        let hostile = "\",\"level\":\"error\u{0}\u{1B}[31m\\u0041\r\n{\"ts\":\"x\"}"
        let text = line(.json) { $0.field("name", hostile) }
        let document = try JSONDocument(Array(text.utf8))
        #expect(!document.hasDuplicateNames(document.root))
        #expect(document.value("name", of: document.root).flatMap { document.string($0) } == hostile)
    }
}
