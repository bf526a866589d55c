import HTTPWire
import Testing

@Suite struct HTTPHeadWriterTests {
    @Test func aResponseComesBack() throws {
        var output = Array("before")
        var head = HTTPHeadWriter(status: 200, into: &output)
        head.field("content-type", "application/json")
        head.field("content-length", 10)
        let taken = [head.field("x-id", Array("a\tb\u{E9}")), head.field(named: Array("x-name"), Array("v"))]
        #expect(taken == [true, true])
        head.endHead(into: &output)
        let text = """
            beforeHTTP/1.1 200 OK\r
            content-type: application/json\r
            content-length: 10\r
            x-id: a\tb\u{E9}\r
            x-name: v\r
            \r

            """
        #expect(String(decoding: output, as: UTF8.self) == text)
        output += Array("0123456789")
        let message = try #require(decodeResponses([Array(output.dropFirst(6))]).messages.first)
        #expect(message.head.fields.first("x-name")?.equals("v") == true)
        #expect(message.body == Array("0123456789") && message.isComplete)
    }

    @Test func aRequestComesBack() throws {
        var output: [UInt8] = []
        let incoming = try #require(decodeRequests([Array(HTTPRequestDecoderTests.post)]).messages.first?.head)
        guard var head = HTTPHeadWriter(method: .post, target: Array("/a?b"), host: Array("[::1]:80"), into: &output)
        else {
            Issue.record("refused")
            return
        }
        head.field("transfer-encoding", "chunked")
        head.field("accept", try #require(incoming.fields.first("content-type")))
        for field in incoming.fields.all() where field.name.equalsIgnoringCase("x-padded") {
            head.field(field.name, field.value)
        }
        head.endHead(into: &output)
        HTTPChunk.append(Array("hello").span, to: &output)
        HTTPChunk.append(Array("").span, to: &output)
        HTTPChunk.append(Array(String(repeating: "x", count: 300)).span, to: &output)
        HTTPChunk.appendLast(to: &output)
        let message = try #require(decodeRequests([output]).messages.first)
        #expect(message.isComplete)
        #expect(message.head.method == .post)
        #expect(message.head.targetString == "/a?b")
        #expect(message.head.authority?.string == "[::1]:80")
        #expect(message.head.fields.first("accept")?.equals("application/json") == true)
        #expect(message.head.fields.first("x-padded")?.equals("two words") == true)
        #expect(message.body.count == 305)
    }

    @Test(arguments: ["a\r\nB: c", "a\n", "\r", "\0", "\u{1F}", "\u{7F}"])
    func noValueEndsItsLine(value: String) {
        var output: [UInt8] = []
        var head = HTTPHeadWriter(status: 204, into: &output)
        let value = [UInt8](value)
        let taken = [
            head.field("x", value), head.field("x", value[...]), head.field(named: Array("x"), value),
            head.field(named: value, Array("x")),
        ]
        #expect(!taken.contains(true))
        head.endHead(into: &output)
        #expect(output == Array("HTTP/1.1 204 No Content\r\n\r\n"))
    }

    @Test(arguments: ["", "a b", "a:", "é"])
    func noNameIsInvalid(name: String) {
        var output: [UInt8] = []
        var head = HTTPHeadWriter(status: 299, into: &output)
        let isTaken = head.field(named: Array(name), Array("x"))
        #expect(!isTaken)
        head.endHead(into: &output)
        #expect(output == Array("HTTP/1.1 299 \r\n\r\n"))
    }

    @Test(arguments: [
        ("", "h"), ("a", "h"), ("/a b", "h"), ("/\r\n", "h"), ("/#", "h"), ("/", "a b"), ("/", "a\r\n"), ("/", "a/b"),
        ("/é", "h"),
    ])
    func noTargetOrHostEndsItsLine(target: String, host: String) {
        var output = Array("before")
        if let head = HTTPHeadWriter(method: .get, target: Array(target), host: Array(host), into: &output) {
            Issue.record("accepted")
            head.endHead(into: &output)
        }
        #expect(output == Array("before"))
    }

    @Test func anAbandonedHeadLeavesNothing() {
        var output = Array("before")
        var head = HTTPHeadWriter(status: 200, into: &output)
        head.field("a", "b")
        head.abandonHead(into: &output)
        #expect(output == Array("before"))
    }

    @Test(arguments: [0, 9, 10, 1_234_567_890, .max])
    func numbersAreWhole(number: Int) {
        var output: [UInt8] = []
        var head = HTTPHeadWriter(status: 200, into: &output)
        head.field("n", number)
        head.endHead(into: &output)
        #expect(output == Array("HTTP/1.1 200 OK\r\nn: \(number)\r\n\r\n"))
    }

    @Test(arguments: [(1, "1"), (15, "f"), (16, "10"), (65_536, "10000"), (Int.max, "7fffffffffffffff")])
    func chunkSizesAreHexadecimal(count: Int, size: String) {
        var output: [UInt8] = []
        HTTPChunk.appendHeader(count: count, to: &output)
        #expect(output == Array(size + "\r\n"))
    }

    @Test func continueIsAHead() {
        var output: [UInt8] = []
        HTTPInterim.appendContinue(to: &output)
        #expect(output == Array("HTTP/1.1 100 Continue\r\n\r\n"))
        #expect(decodeResponses([output + Array(HTTPResponseDecoderTests.json)]).messages.count == 1)
    }
}
