import HTTPWire
import Testing

@Suite struct HTTPRequestDecoderTests {
    static let post = """
        POST /mcp?a=b HTTP/1.1\r
        Host: example.com:8808\r
        Content-Type:application/json\r
        X-Padded: \t two words \t \r
        X-Empty:\r
        Content-Length: 5\r
        \r
        hello
        """

    static let chunked = """
        PUT /up HTTP/1.1\r
        host: h\r
        transfer-encoding: Chunked\r
        \r
        5\r
        hello\r
        00a;name="a;b" ;x\r
        0123456789\r
        1 ; y\r
        !\r
        0\r
        Checksum: 1\r
        \r

        """

    @Test func aRequestIsTakenApart() throws {
        let transcript = decodeRequests([Array(Self.post)])
        #expect(transcript.error == nil)
        let message = try #require(transcript.messages.first)
        #expect(message.isComplete)
        #expect(message.body == Array("hello"))
        let head = message.head
        #expect(head.method == .post)
        #expect(head.methodString == "POST")
        #expect(head.minorVersion == 1)
        #expect(head.targetString == "/mcp?a=b")
        #expect(String(decoding: head.path, as: UTF8.self) == "/mcp")
        #expect(head.authority?.string == "example.com:8808")
        #expect(head.keepAlive)
        #expect(!head.expectsContinue)
        #expect(head.bodyLength == .bytes(5))
        #expect(head.fields.count == 5)
        #expect(head.fields.first("x-padded")?.string == "two words")
        #expect(head.fields.first("X-EMPTY")?.bytes.isEmpty == true)
    }

    @Test func chunksAreJoinedAndTrailersDropped() throws {
        let transcript = decodeRequests([Array(Self.chunked)])
        #expect(transcript.error == nil)
        let message = try #require(transcript.messages.first)
        #expect(message.isComplete)
        #expect(message.body == Array("hello0123456789!"))
        #expect(message.head.bodyLength == .chunked)
        #expect(message.head.fields.first("checksum") == nil)
    }

    @Test(arguments: [
        post, chunked, post + chunked + post,
        "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n\r\n" + post,
        "GET / HTTP/1.0\r\n\r\nGET / HTTP/1.0\r\n\r\n",
        // Errors too come at the same place, however the input is cut.
        post + "GET / HTTP/1.1\r\nHost: a\r\nX: a\nb\r\n\r\n",
        chunked + "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\rX: b\r\n\r\n",
    ])
    func howTheInputIsCutChangesNothing(text: String) {
        let bytes = Array(text)
        let whole = decodeRequests([bytes])
        for pieces in cuts(of: bytes) { #expect(decodeRequests(pieces) == whole) }
    }

    @Test func pipelinedRequestsComeOneByOne() throws {
        let bytes = Array(Self.post + Self.chunked)
        var decoder = HTTPRequestDecoder()
        var offset = 0
        let isIdleAtFirst = decoder.isIdle
        var event = try decoder.nextEvent(bytes.span, from: &offset)
        let isIdleInside = decoder.isIdle
        while event != .end { event = try decoder.nextEvent(bytes.span, from: &offset) }
        let isIdleBetween = decoder.isIdle
        #expect(isIdleAtFirst && !isIdleInside && isIdleBetween)
        #expect(offset == Self.post.utf8.count)
        guard case .head(let head) = try decoder.nextEvent(bytes.span, from: &offset) else {
            Issue.record("the second request is missing")
            return
        }
        #expect(head.method == .put)
    }

    @Test func aPartialHeadIsNoticed() throws {
        var decoder = HTTPRequestDecoder()
        for (text, isPartial) in [("\r\n", false), ("G", true), ("ET /", true)] {
            var offset = 0
            let event = try decoder.nextEvent(Array(text).span, from: &offset)
            let state = (decoder.hasPartialHead, decoder.isIdle)
            #expect(event == .needMoreInput)
            #expect(offset == text.utf8.count)
            #expect(state == (isPartial, !isPartial))
        }
    }

    @Test func anErrorIsFinal() {
        var decoder = HTTPRequestDecoder()
        for text in ["\n", Self.post] {
            var offset = 0
            #expect(throws: HTTPDecodeError(.bareLineFeed)) { try decoder.nextEvent(Array(text).span, from: &offset) }
        }
        let isIdle = decoder.isIdle
        #expect(!isIdle)
    }

    @Test(arguments: [
        ("HTTP/1.1", "", true), ("HTTP/1.1", "Connection: close\r\n", false),
        ("HTTP/1.1", "Connection: foo, Close\r\n", false),
        ("HTTP/1.1", "Connection: foo\r\nConnection: close\r\n", false),
        ("HTTP/1.1", "Connection: closed\r\n", true), ("HTTP/1.0", "", false),
        ("HTTP/1.0", "Connection: Keep-Alive\r\n", true), ("HTTP/1.0", "Connection: keep-alive, close\r\n", false),
    ])
    func theConnectionOutlivesTheRequest(version: String, fields: String, expected: Bool) throws {
        let head = try #require(
            decodeRequests([Array("GET / \(version)\r\nHost: a\r\n\(fields)\r\n")]).messages.first?.head)
        #expect(head.keepAlive == expected)
    }

    @Test(arguments: [
        ("/", "/", "h"), ("/a/b?c?d", "/a/b", "h"), ("/?x", "/", "h"), ("http://a.b:1/c?d", "/c", "a.b:1"),
        ("HTTPS://[::1]:80", "/", "[::1]:80"), ("http://a?x", "/", "a"), ("/http://a/b", "/http://a/b", "h"),
        ("//a/b", "//a/b", "h"),
    ])
    func theTargetIsTakenApart(target: String, path: String, authority: String) throws {
        let head = try #require(
            decodeRequests([Array("GET \(target) HTTP/1.1\r\nHost: h\r\n\r\n")]).messages.first?.head)
        #expect(head.targetString == target)
        #expect(String(decoding: head.path, as: UTF8.self) == path)
        #expect(head.authority?.string == authority)
    }

    @Test(arguments: [
        ("GET", HTTPMethod.get), ("HEAD", .head), ("POST", .post), ("PUT", .put), ("DELETE", .delete),
        ("PATCH", .patch),
        ("TRACE", .trace), ("get", .other), ("M-SEARCH", .other), ("GETS", .other),
    ])
    func methodsAreCaseSensitive(name: String, method: HTTPMethod) throws {
        let head = try #require(decodeRequests([Array("\(name) / HTTP/1.1\r\nHost: h\r\n\r\n")]).messages.first?.head)
        #expect(head.method == method)
        #expect(head.methodString == name)
    }

    @Test func otherFormsOfTargets() throws {
        let star = try #require(decodeRequests([Array("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n")]).messages.first?.head)
        #expect(star.method == .options)
        #expect(Array(star.path) == Array("*"))
        let tunnel = try #require(
            decodeRequests([Array("CONNECT a:1 HTTP/1.1\r\nHost: h\r\n\r\n")]).messages.first?.head)
        #expect(tunnel.method == .connect)
        #expect(tunnel.path.isEmpty)
    }

    @Test func anExpectationIsSeen() throws {
        let head = "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n"
        #expect(try #require(decodeRequests([Array(head)]).messages.first?.head).expectsContinue)
        let old = head.replacing("HTTP/1.1", with: "HTTP/1.0")
        #expect(try !#require(decodeRequests([Array(old)]).messages.first?.head).expectsContinue)
    }
}
