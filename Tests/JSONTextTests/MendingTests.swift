import Testing

@testable import JSONText

/// What is nearly JSON becomes the JSON that it can only be, and JSON stays as it is.
@Suite struct MendingTests {
    private func mended(_ text: [UInt8]) -> String? {
        JSONMending.mendedText(text).map { String(decoding: $0, as: UTF8.self) }
    }

    @Test(
        arguments: [
            ("[NaN]", "[null]"), (#"{"a":Infinity,"b": -Infinity}"#, #"{"a":null,"b": null}"#),
            ("\"a\tb\"", #""a\tb""#), ("\"\u{0}\u{1B}\u{7F}\"", "\"\\u0000\\u001b\u{7F}\""),
            ("\"a\r\nb\"", #""a\r\nb""#),
            ("[\"NaN\t\",NaN]", #"["NaN\t",null]"#), ("\"\\\"\t\"", #""\"\t""#),
        ])
    func whatHasOneMeaning(text: String, expected: String) throws {
        #expect(mended(Array(text.utf8)) == expected)
        #expect(throws: Never.self) { try JSONDocument(Array(expected.utf8)) }
    }

    @Test(
        arguments: [
            "", "{}", "[1,-1,\"NaN\",\"\\n\"]", "{\"NaN\":1}", "NaN", "[nan]", "[-NaN", "oops", "\"\\", "\"a\\\nb\t\"",
            " [ 1 ,\t2\r\n] ",
        ])
    func whatIsLeft(text: String) { #expect(mended(Array(text.utf8)) == nil) }

    @Test func bytesThatAreNoUTF8() {
        #expect(mended([0x22, 0xE9, 0x22]) == "\"\u{FFFD}\"")
        #expect(mended([0x22, 0xC3, 0xA9, 0x22]) == nil)
        #expect(mended([0x22, 0xF0, 0x9F, 0x22]) == "\"\u{FFFD}\"")
    }

    /// What it would make much longer is no text of anybody's.
    @Test func growthIsBounded() {
        #expect(mended([0x22] + [UInt8](repeating: 1, count: 1000) + [0x22]) == nil)
        #expect(mended([UInt8](repeating: 0xFF, count: 1000)) == nil)
    }
}
