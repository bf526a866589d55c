import HTTPWire
import Testing

@Suite struct HTTPResponseDecoderTests {
    static let events = """
        HTTP/1.1 200 OK\r
        content-type: text/event-stream\r
        transfer-encoding: chunked\r
        \r
        b\r
        data: {}\r
        \r
        \r
        0\r
        \r

        """

    static let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

    static let json = "HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\n{}"

    @Test(arguments: [
        events, json, events + json + json,
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n" + json,
        "HTTP/1.0 200 OK\r\n\r\nall of this until the end", "HTTP/1.1 204 No Content\r\n\r\n" + json,
        json + "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n12", json + "HTTP/1.1 2", json + "\r\n" + json,
        // Sizes that are read at once, and such as are not.
        chunked + "1\r\na\r\n0000000A\r\n\r\n3456789\n\r\n000000001\r\nb\r\n2 ;x\r\ncd\r\n00\r\nt: u\r\n\r\n" + json,
        chunked + "1\r\na\r\n1\n", chunked + "1\r\na\r\r", chunked + "1\r\na\n", chunked + "1\r\na1\r\n",
        chunked + "\r\n", chunked + "1\r\na\r\ng", chunked + "1\r\na\r\n\r\n", chunked + "1\ra",
        chunked + "7FFFFFFFFFFFFFFF\r\na",
        chunked + "80000000000000000\r\n", chunked + "FFFFFFFF\r\na", chunked + "1\r\na\r\n0\r\n\r\n",
    ])
    func howTheInputIsCutChangesNothing(text: String) {
        let bytes = Array(text)
        let whole = decodeResponses([bytes])
        for pieces in cuts(of: bytes) { #expect(decodeResponses(pieces) == whole) }
    }

    @Test(
        arguments: [
            ("HTTP/1.1 200 OK\r\n", 200, .untilClose, false),
            ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", 200, .bytes(0), true),
            ("HTTP/1.1 200 OK\r\nContent-Length: 7\r\nContent-Length: 7\r\n", 200, .bytes(7), true),
            ("HTTP/1.1 200 \r\nContent-Length: 0\r\n", 200, .bytes(0), true),
            ("HTTP/1.1 200\r\nContent-Length: 0\r\n", 200, .bytes(0), true),
            ("HTTP/1.1 599 \u{E9}\t\r\nTransfer-Encoding: chunked\r\n", 599, .chunked, true),
            ("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 7\r\n", 200, .bytes(7), false),
            ("HTTP/1.0 200 OK\r\nContent-Length: 7\r\n", 200, .bytes(7), false),
            ("HTTP/1.0 200 OK\r\nContent-Length: 7\r\nConnection: keep-alive\r\n", 200, .bytes(7), true),
            ("HTTP/1.1 204 No Content\r\n", 204, .none, true),
            ("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n", 204, .none, true),
            ("HTTP/1.1 204 No Content\r\nContent-Length: 1\r\n", 204, .none, false),
            ("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n", 204, .none, false),
            ("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n", 304, .none, true),
            ("HTTP/1.1 304 Not Modified\r\n", 304, .none, true),
        ] as [(String, Int, HTTPBodyLength, Bool)])
    func theBodyIsFramed(head: String, status: Int, length: HTTPBodyLength, keepAlive: Bool) throws {
        let decoded = try #require(decodeResponses([Array(head + "\r\n")]).messages.first?.head)
        #expect(decoded.status == status)
        #expect(decoded.bodyLength == length)
        #expect(decoded.keepAlive == keepAlive)
    }

    @Test(
        arguments: [
            ("HTTP/1.1 101 Switching Protocols\r\n\r\n", .unexpectedUpgrade),
            ("HTTP/1.1 99 No\r\n\r\n", .malformedStatusLine),
            ("HTTP/1.1 099 No\r\n\r\n", .malformedStatusLine), ("HTTP/1.1 600 No\r\n\r\n", .malformedStatusLine),
            ("HTTP/1.1 2000 No\r\n\r\n", .malformedStatusLine), ("HTTP/1.1 2x0 No\r\n\r\n", .malformedStatusLine),
            ("HTTP/1.1  200 OK\r\n\r\n", .malformedStatusLine), ("HTTP/1.1\r\n\r\n", .malformedStatusLine),
            ("HTTP/1.1 20\r\n\r\n", .malformedStatusLine), ("HTTP/1.1 +20 OK\r\n\r\n", .malformedStatusLine),
            ("HTTP/1.1 200\tOK\r\n\r\n", .malformedStatusLine), ("ICY 200 OK\r\n\r\n", .malformedStatusLine),
            ("\r\nHTTP/1.1 200 OK\r\n\r\n", .malformedStatusLine), ("HTTP/2.0 200 OK\r\n\r\n", .unsupportedVersion),
            ("HTTP/1.1 200 OK\n\n", .bareLineFeed), ("HTTP/1.1 200 OK\rA: b\r\n\r\n", .bareCarriageReturn),
            ("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", .obsoleteLineFolding),
            ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na", .duplicateContentLength),
            ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\na", .conflictingLengths),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\na", .invalidTransferEncoding),
            ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na", .invalidTransferEncoding),
            (String(repeating: "HTTP/1.1 100 Continue\r\n\r\n", count: 9), .tooManyInformationalResponses),
            ("HTTP/1.1 100 Continue\r\n\r\n", .truncated), ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n", .truncated),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", .truncated),
            ("HTTP/1.1 200 OK\r\n", .truncated),
        ] as [(String, HTTPDecodeError.Reason)])
    func aResponseIsRefused(text: String, reason: HTTPDecodeError.Reason) {
        let transcript = decodeResponses([Array(text)])
        #expect(transcript.error == reason)
        for pieces in cuts(of: Array(text), random: 5) { #expect(decodeResponses(pieces) == transcript) }
    }

    @Test func theEndOfTheConnectionEndsWhatItMay() throws {
        #expect(decodeResponses([]).close == .idle)
        #expect(decodeResponses([Array(Self.json)]).close == .idle)
        let open = decodeResponses([Array("HTTP/1.1 200 OK\r\n\r\nabc")])
        #expect(open.close == .message)
        #expect(try #require(open.messages.first).body == Array("abc"))
    }

    @Test func aTruncatedResponseStaysTruncated() throws {
        var decoder = HTTPResponseDecoder()
        var offset = 0
        _ = try decoder.nextEvent(Array("HTTP/1.1 200 OK\r\n").span, from: &offset)
        let isPartial = decoder.hasPartialHead
        #expect(isPartial)
        for _ in 0..<2 { #expect(throws: HTTPDecodeError(.truncated)) { try decoder.finishInput() } }
    }
}
