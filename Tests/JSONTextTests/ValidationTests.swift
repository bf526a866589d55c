import Testing

@testable import JSONText

@Suite struct ValidationTests {
    @Test(arguments: [
        "{}", "[]", "0", "-0", "1", "-1", "10", "1.0", "0.1", "-0.5e-7", "1E5", "1e+5", "1e05", "0e0", "0E+1",
        "12345678901234567890123", "1.7976931348623157e999", "true", "false", "null", #""""#, #""a""#, " 1 ",
        "\t\r\n[ ] ",
        "[1]", "[1,2]", "[ 1 , 2 ]", "[[],{}]", #"{"a":1}"#, #"{ "a" : 1 , "a" : 2 }"#, #"{"":0}"#,
        #"{"a":{"b":[{"c":null}]}}"#, #"["\"\\\/\b\f\n\r\t"]"#, #"["\u0000\u001F\uffff\uABCD"]"#,
        #"["\ud83d\ude00"]"#, #"["\ud800"]"#, #"["\ude00\ud83d"]"#, #"["\ud800\ud800\n"]"#, #"["\ud800abc"]"#,
        "\"\u{7F}\"", "\"\u{80}\"", "\"\u{7FF}\"", "\"\u{800}\"", "\"\u{D7FF}\"", "\"\u{E000}\"", "\"\u{FFFD}\"",
        "\"\u{FFFF}\"", "\"\u{10000}\"", "\"\u{10FFFF}\"", "\"\u{2028}\u{2029}\u{FEFF}\"",
        "\"0123456789abcdef\"", "\"0123456789abcde\u{E9}f0123456789\"", "\"0123456789abcd\\n0123456789abcdef\"",
    ])
    func accepted(_ text: String) throws {
        let bytes = Array(text.utf8)
        #expect(ReferenceValidator.accepts(bytes))
        let document = try JSONDocument(bytes)
        #expect(document.bytes == bytes)
        #expect(document.text(document.root) == text.trimmingWhitespace)
    }

    @Test(
        arguments: [
            ("", .unexpectedEnd, 0), (" ", .unexpectedEnd, 1), ("[", .unexpectedEnd, 1), ("[1", .unexpectedEnd, 2),
            ("[1,", .unexpectedEnd, 3), ("{", .unexpectedEnd, 1), (#"{"a"#, .unexpectedEnd, 3),
            (#"{"a""#, .unexpectedEnd, 4), (#"{"a":"#, .unexpectedEnd, 5), (#"{"a":1"#, .unexpectedEnd, 6),
            (#"{"a":1,"#, .unexpectedEnd, 7), ("\"", .unexpectedEnd, 1), (#""\"#, .unexpectedEnd, 2),
            (#""\u00"#, .unexpectedEnd, 5), ("tru", .unexpectedEnd, 3), ("-", .unexpectedEnd, 1),
            ("1.", .unexpectedEnd, 2), ("1e", .unexpectedEnd, 2), ("1e+", .unexpectedEnd, 3),
            ("[1,]", .unexpectedByte, 3), ("[,1]", .unexpectedByte, 1), ("[1 2]", .unexpectedByte, 3),
            ("[1}", .unexpectedByte, 2), (#"{"a":1]"#, .unexpectedByte, 6), ("{,}", .unexpectedByte, 1),
            (#"{"a":1,}"#, .unexpectedByte, 7), (#"{"a" 1}"#, .unexpectedByte, 5), (#"{"a"}"#, .unexpectedByte, 4),
            (#"{"a":}"#, .unexpectedByte, 5), ("{1:1}", .unexpectedByte, 1), ("{a:1}", .unexpectedByte, 1),
            ("{'a':1}", .unexpectedByte, 1), ("True", .unexpectedByte, 0), ("trux", .unexpectedByte, 3),
            ("nul]", .unexpectedByte, 3), ("NaN", .unexpectedByte, 0), ("Infinity", .unexpectedByte, 0),
            ("+1", .unexpectedByte, 0), (".5", .unexpectedByte, 0), ("]", .unexpectedByte, 0),
            ("}", .unexpectedByte, 0),
            (",", .unexpectedByte, 0), ("/**/1", .unexpectedByte, 0), ("\u{FEFF}1", .unexpectedByte, 0),
            ("\u{A0}1", .unexpectedByte, 0), ("\u{C}1", .unexpectedByte, 0), ("\0", .unexpectedByte, 0),
            ("[\u{B}1]", .unexpectedByte, 1), ("[1;2]", .unexpectedByte, 2), ("[é]", .unexpectedByte, 1),
            ("01", .invalidNumber, 1), ("-01", .invalidNumber, 2), ("00", .invalidNumber, 1), ("-x", .invalidNumber, 1),
            ("1.x", .invalidNumber, 2), ("[1.]", .invalidNumber, 3), ("1.e5", .invalidNumber, 2),
            ("[1e]", .invalidNumber, 3), ("1e.5", .invalidNumber, 2), ("-Infinity", .invalidNumber, 1),
            ("--1", .invalidNumber, 1), ("[0e+-1]", .invalidNumber, 4),
            ("0x1", .trailingBytes, 1), ("1.5.2", .trailingBytes, 3), ("1 2", .trailingBytes, 2),
            ("{}{}", .trailingBytes, 2), ("[]]", .trailingBytes, 2), ("nulll", .trailingBytes, 4),
            ("1\0", .trailingBytes, 1), ("[]#", .trailingBytes, 2), (#""a"b"#, .trailingBytes, 3),
            (#""\x""#, .invalidEscape, 2), (#""\a""#, .invalidEscape, 2), (#""\U0000""#, .invalidEscape, 2),
            (#""\'""#, .invalidEscape, 2), (#""\0""#, .invalidEscape, 2), (#""\é""#, .invalidEscape, 2),
            (#""\u12G4""#, .invalidEscape, 5), (#""\u""#, .invalidEscape, 3), (#""\u 123""#, .invalidEscape, 3),
            (#""\u+123""#, .invalidEscape, 3),
            ("\"\n\"", .controlCharacter, 1), ("\"a\0\"", .controlCharacter, 2), ("\"\u{1F}\"", .controlCharacter, 1),
            ("\"0123456789abcdef\t\"", .controlCharacter, 17), ("{\"\r\":1}", .controlCharacter, 2),
        ] as [(String, JSONTextError.Reason, Int)])
    func refused(_ text: String, _ reason: JSONTextError.Reason, _ offset: Int) {
        #expect(!ReferenceValidator.accepts(Array(text.utf8)))
        #expect(throws: JSONTextError(reason, at: offset)) { try JSONDocument(text: text) }
    }

    @Test(
        arguments: [
            [0x80], [0xBF], [0xC0, 0x80], [0xC1, 0xBF], [0xC2], [0xC2, 0x22], [0xC3, 0xC3], [0xE0, 0x80, 0x80],
            [0xE0, 0x9F, 0xBF], [0xE1, 0x80], [0xE2, 0x28, 0xA1], [0xE2, 0x82, 0x28], [0xED, 0xA0, 0x80],
            [0xED, 0xBF, 0xBF], [0xF0, 0x80, 0x80, 0x80], [0xF0, 0x8F, 0xBF, 0xBF], [0xF0, 0x90, 0x80],
            [0xF1, 0x80, 0x80, 0x28], [0xF1, 0x28, 0x80, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80],
            [0xFE], [0xFF],
        ] as [[UInt8]])
    func refusedUTF8(_ sequence: [UInt8]) {
        for filler in [0, 3, 14, 15, 16, 40] {
            let start = [0x22] + Array(repeating: UInt8(ascii: "x"), count: filler)
            for end in [[0x22], [0x22] + Array(repeating: 0x20, count: 20), []] as [[UInt8]] {
                #expect(throws: JSONTextError(.invalidUTF8, at: filler + 1)) {
                    try JSONDocument(start + sequence + end)
                }
                #expect(!ReferenceValidator.accepts(start + sequence + end))
            }
        }
    }

    // MARK: In parts

    /// What comes of a text that is read in parts of a size: the places of all that is in it, or the error.
    private static func outcome(of text: [UInt8], partSize: Int?) -> String {
        do {
            let document = try partSize.map { try Self.document(text, partSize: $0) } ?? JSONDocument(text)
            return "\(document.outline.entries)"
        } catch {
            return "\(error)"
        }
    }

    private static func document(_ text: [UInt8], partSize: Int) throws -> JSONDocument {
        var reading = try JSONReading(text)
        for _ in 0...text.count { if let document = try reading.readPart(partSize) { return document } }
        throw Endless()
    }

    private struct Endless: Error {}

    @Test func partsOfAnySizeMakeTheSameDocument() {
        var texts = Self.sample.indices.map { Array(Self.sample[..<$0]) } + [Self.sample]
        texts += [
            #"{"a\n":"\u00e9\"","é":"日本é\\","x":{"é\t":[1,2,{"k":"\n"}]},"y":[],"z":{}}"#, #""é\n""#, #"["é","#,
            " [ ] ",
            #"{"params":{"_meta":{"é":"é","b":1},"name":"\u0041"},"id":7}"#, "[1,2", #"{"é" 1}"#, #"{"é\x":1}"#,
            "12345",
        ].map { Array($0.utf8) }
        texts.append([0x22, 0xC3, 0xA9, 0xC3, 0x22])
        for text in texts {
            let whole = Self.outcome(of: text, partSize: nil)
            for size in [-1, 1, 2, 3, 5, 16, 1000, Int.max] {
                #expect(
                    Self.outcome(of: text, partSize: size) == whole, "\(String(decoding: text, as: UTF8.self)), \(size)"
                )
            }
        }
    }

    /// Whatever a text is made of, but for plain strings, numbers and white space.
    @Test(arguments: [
        ("", "[1,"), ("", #"{"a":"#), ("[", "1,"), ("{", #""a":1,"#), (#"[""#, #"\n"#), (#"[""#, "é"), (#"{""#, "日"),
        ("[", #""","#),
    ])
    func aPartIsShort(_ start: String, _ piece: String) throws {
        let text = Array((start + String(repeating: piece, count: 1000)).utf8)
        var reading = try JSONReading(text, maxDepth: .max)
        var parts = 0
        #expect(throws: JSONTextError(.unexpectedEnd, at: text.count)) {
            while try reading.readPart(64) == nil { parts += 1 }
        }
        #expect(parts >= text.count / 80)
    }

    @Test func byteOrderMarksAndOtherEncodingsAreRefused() {
        #expect(throws: JSONTextError(.unexpectedByte, at: 0)) { try JSONDocument([0xEF, 0xBB, 0xBF, 0x31]) }
        #expect(throws: JSONTextError(.unexpectedByte, at: 0)) { try JSONDocument([0xFE, 0xFF, 0x00, 0x31]) }
        #expect(throws: JSONTextError(.trailingBytes, at: 1)) { try JSONDocument([0x31, 0x00]) }
    }

    @Test(arguments: [("[", "]"), (#"{"a":"#, "}"), (#"[{"a":"#, "}]")])
    func depth(_ open: String, _ close: String) throws {
        let levels = open.utf8.count { $0 == .openBracket || $0 == .openBrace }
        for count in [1, 2, 31, 32, 33, 63, 64, 65, 127, 128, 129, 1000] {
            let text = String(repeating: open, count: count) + "1" + String(repeating: close, count: count)
            let document = try JSONDocument(text: text, maxDepth: count * levels)
            #expect(document.text(document.root) == text)
            #expect {
                try JSONDocument(text: text, maxDepth: count * levels - 1)
            } throws: {
                ($0 as? JSONTextError)?.reason == .tooDeep
            }
        }
    }

    @Test func tenThousandLevels() throws {
        let text = String(repeating: "[", count: 10_000) + String(repeating: "]", count: 10_000)
        #expect(throws: JSONTextError(.tooDeep, at: 128)) { try JSONDocument(text: text) }
        #expect(throws: JSONTextError(.tooDeep, at: 128)) { try JSONDocument(text: String(text.prefix(5000))) }
        let document = try JSONDocument(text: text, maxDepth: .max)
        #expect(document.elements(of: document.root).map(\.range) == [1..<19_999])
        #expect(throws: JSONTextError(.unexpectedEnd, at: 19_999)) {
            try JSONDocument(text: String(text.dropLast()), maxDepth: .max)
        }
    }

    @Test func noDepthAtAll() throws {
        #expect(try JSONDocument(text: "1", maxDepth: 0).root.kind == .number)
        #expect(throws: JSONTextError(.tooDeep, at: 0)) { try JSONDocument(text: "[]", maxDepth: 0) }
    }

    private static let sample = Array(
        #" {"id":-10.5e+3,"a\u00e9\"é":[true,null,"日本 0123456789abcdef \ud83d\ude00",{"x":{"y":{}}}],"":false}"#.utf8)

    @Test func everyTruncation() throws {
        for length in Self.sample.indices {
            let bytes = Array(Self.sample[..<length])
            #expect(throws: JSONTextError.self) { try JSONDocument(bytes) }
            #expect(!ReferenceValidator.accepts(bytes))
        }
    }

    @Test func everyOtherByteAtEveryPlace() throws {
        var accepted = 0
        for index in Self.sample.indices {
            for byte in UInt8.min...UInt8.max {
                var bytes = Self.sample
                bytes[index] = byte
                let document = try? JSONDocument(bytes)
                if (document != nil) != ReferenceValidator.accepts(bytes) {
                    Issue.record("disagreement with byte \(byte) at \(index)")
                }
                if let document {
                    accepted += 1
                    _ = Tree(document.root, of: document)
                }
            }
        }
        #expect(accepted > 1000)
    }

    @Test func randomTextsOfJSONBytes() {
        var random = Seeded(1)
        let alphabet = Array("{}[],:\"\\u0e1-.+ \u{1}tnfé".utf8) + [0xC3, 0xED, 0xF0]
        for _ in 0..<20_000 {
            let bytes = (0..<Int.random(in: 0...8, using: &random)).map { _ in
                alphabet.randomElement(using: &random) ?? 0
            }
            if ((try? JSONDocument(bytes, maxDepth: 3)) != nil) != ReferenceValidator.accepts(bytes, maxDepth: 3) {
                Issue.record("disagreement about \(bytes)")
            }
        }
    }

    @Test func errorsReadAsSentences() {
        #expect(JSONTextError(.unexpectedByte, at: 12).description == "unexpected byte at offset 12")
        #expect("\(JSONTextError(.unexpectedEnd, at: 0))" == "the text ends too early at offset 0")
    }
}

extension String {
    fileprivate var trimmingWhitespace: String {
        let start = drop { " \t\r\n".contains($0) }
        return String(String(start.reversed().drop { " \t\r\n".contains($0) }).reversed())
    }
}
