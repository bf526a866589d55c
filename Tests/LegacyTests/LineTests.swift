import Reactor
import Testing

@testable import Legacy

@Suite struct LineTests {
    private func lines(_ parts: [String], limit: Int = 100) throws -> [String] {
        var decoder = LineDecoder(maxLine: limit)
        var found: [String] = []
        for part in parts {
            let bytes = Array(part.utf8)
            var offset = 0
            while let line = try decoder.nextLine(bytes.span, from: &offset) {
                found.append(String(decoding: line, as: UTF8.self))
            }
            #expect(offset == bytes.count)
        }
        if let rest = decoder.finishLine() { found.append("rest " + String(decoding: rest, as: UTF8.self)) }
        return found
    }

    @Test(arguments: [
        (["a\nb\n"], ["a", "b"]), (["a", "b", "\n"], ["ab"]), (["\n\n"], ["", ""]), (["a\r\nb\r", "\n"], ["a", "b"]),
        (["a\nb"], ["a", "rest b"]), ([""], []), (["\u{2028}é\n"], ["\u{2028}é"]),
    ])
    func takesLinesApart(_ parts: [String], _ expected: [String]) throws {
        #expect(try lines(parts) == expected)
    }

    @Test func holdsNoMoreThanTheLimit() throws {
        #expect(try lines(["1234\n", "12", "34\n"], limit: 4) == ["1234", "1234"])
        #expect(throws: LineDecoder.TooLong.self) { try lines(["12345\n"], limit: 4) }
        #expect(throws: LineDecoder.TooLong.self) { try lines(["123", "45"], limit: 4) }
    }

    /// A client may write its JSON on several lines; on a pipe the message has to be one.
    @Test func aMessageIsOneLine() {
        let text = Array("{\"a\":\n\r\n \"x\\ny\"}".utf8)
        let line = StdioTransport.messageLine([text[..<6], text[6...]]).flatMap { $0 }
        #expect(String(decoding: line, as: UTF8.self) == "{\"a\":    \"x\\ny\"}\n")
    }

    @Test func aBurstOfLinesIsWrittenAndTheRestCounted() {
        let start = Instant.now
        var allowance = LineAllowance(at: start)
        for _ in 0..<200 { #expect(allowance.takeLine(at: start) == .write(dropped: 0)) }
        for _ in 0..<7 { #expect(allowance.takeLine(at: start) == .drop) }
        #expect(allowance.takeLine(at: start + .milliseconds(20)) == .write(dropped: 7))
        #expect(allowance.takeLine(at: start + .milliseconds(20)) == .drop)
        #expect(allowance.takeDropped() == 1)
        #expect(allowance.takeDropped() == 0)
    }
}
