import HTTPWire
import Testing

/// What is refused, and with which reason and status. Each head here differs from a good one in one thing.
@Suite struct HTTPRequestRefusalTests {
    /// The field lines of a request that is good but for them.
    @Test(
        arguments: [
            ("A: b\nC: d", .bareLineFeed), ("A: b\rC: d", .bareCarriageReturn), ("A: b\r\r\nC: d", .bareCarriageReturn),
            ("A: b\0c", .controlCharacter), ("A: b\u{7F}c", .controlCharacter), ("A: \u{1B}c", .controlCharacter),
            ("A\u{1}: c", .controlCharacter),
            ("A: b\r\n folded", .obsoleteLineFolding), ("A: b\r\n\tfolded: x", .obsoleteLineFolding),
            ("A : b", .spaceBeforeColon), ("A\t: b", .spaceBeforeColon), ("A b: c", .spaceBeforeColon),
            (": b", .invalidFieldName), ("A", .invalidFieldName), ("A(b): c", .invalidFieldName),
            ("A\u{E9}: c", .invalidFieldName), ("A,b: c", .invalidFieldName), ("abc-def,: c", .invalidFieldName),
            ("abcdefg\u{80}hijklmnop: c", .invalidFieldName), ("a[: c", .invalidFieldName),
            ("a@: c", .invalidFieldName),
            ("Host: h2", .duplicateHost), ("hOST: h", .duplicateHost),
            ("Content-Length: 5\r\nContent-Length: 5", .duplicateContentLength),
            ("Content-Length: 5\r\nContent-Length: 6", .duplicateContentLength),
            ("Content-Length: 5, 5", .invalidContentLength), ("Content-Length: +5", .invalidContentLength),
            ("Content-Length: -5", .invalidContentLength), ("Content-Length: 5 5", .invalidContentLength),
            ("Content-Length: 0x5", .invalidContentLength), ("Content-Length:", .invalidContentLength),
            ("Content-Length: 5.0", .invalidContentLength), ("Content-Length: \u{FF15}", .invalidContentLength),
            ("Content-Length: 9223372036854775808", .invalidContentLength),
            ("Content-Length: 18446744073709551621", .invalidContentLength),
            ("Content-Length: 99999999999999999999999999999999999", .invalidContentLength),
            ("Content-Length: 5\r\nTransfer-Encoding: chunked", .conflictingLengths),
            ("Transfer-Encoding: chunked\r\nContent-Length: 5", .conflictingLengths),
            ("Transfer-Encoding: chunked, chunked", .invalidTransferEncoding),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", .invalidTransferEncoding),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", .invalidTransferEncoding),
            ("Transfer-Encoding: chunked, gzip", .invalidTransferEncoding),
            ("Transfer-Encoding: chunked, gzip, chunked", .invalidTransferEncoding),
            ("Transfer-Encoding: identity", .invalidTransferEncoding), ("Transfer-Encoding:", .invalidTransferEncoding),
            ("Transfer-Encoding: xchunked", .invalidTransferEncoding),
            ("Transfer-Encoding: chunked,", .invalidTransferEncoding),
            ("Transfer-Encoding: \"chunked\"", .invalidTransferEncoding),
            ("Transfer-Encoding: chunked;q=1", .invalidTransferEncoding),
            ("Transfer-Encoding: gzip, chunked", .unsupportedTransferCoding),
        ] as [(String, HTTPDecodeError.Reason)])
    func aFieldIsRefused(fields: String, reason: HTTPDecodeError.Reason) {
        let transcript = decodeRequests([Array("GET / HTTP/1.1\r\nHost: h\r\n\(fields)\r\n\r\n")])
        #expect(transcript.error == reason)
        #expect(transcript.messages.isEmpty)
    }

    @Test(
        arguments: [
            ("GET /", .malformedRequestLine), ("GET", .malformedRequestLine),
            ("GET  / HTTP/1.1", .malformedRequestLine),
            (" GET / HTTP/1.1", .malformedRequestLine), ("GET /\tHTTP/1.1", .malformedRequestLine),
            ("GET / HTTP/1.1 ", .malformedRequestLine), ("GET / /b HTTP/1.1", .malformedRequestLine),
            ("GET / http/1.1", .malformedRequestLine), ("GET / HTTP/11", .malformedRequestLine),
            ("GET / HTTP/1.1x", .malformedRequestLine), ("G(T / HTTP/1.1", .malformedRequestLine),
            ("G\u{E9}T / HTTP/1.1", .malformedRequestLine), ("/ HTTP/1.1", .malformedRequestLine),
            ("GET / HTTP/1.2", .unsupportedVersion), ("GET / HTTP/0.9", .unsupportedVersion),
            ("GET / HTTP/2.0", .unsupportedVersion), ("PRI * HTTP/2.0", .unsupportedVersion),
            ("GET a HTTP/1.1", .invalidTarget), ("GET * HTTP/1.1", .invalidTarget),
            ("GET /a#b HTTP/1.1", .invalidTarget),
            ("GET /\u{E9} HTTP/1.1", .invalidTarget), ("GET /a\tb HTTP/1.1", .invalidTarget),
            ("GET http:// HTTP/1.1", .invalidTarget), ("GET http://a@b/ HTTP/1.1", .invalidTarget),
            ("GET http:/a HTTP/1.1", .invalidTarget), ("GET 1http://a/ HTTP/1.1", .invalidTarget),
            ("CONNECT /a HTTP/1.1", .invalidTarget), ("OPTIONS ** HTTP/1.1", .invalidTarget),
            ("GET /\0 HTTP/1.1", .controlCharacter), ("\u{16}\u{3}\u{1}", .controlCharacter),
        ] as [(String, HTTPDecodeError.Reason)])
    func aRequestLineIsRefused(line: String, reason: HTTPDecodeError.Reason) {
        #expect(decodeRequests([Array("\(line)\r\nHost: h\r\n\r\n")]).error == reason)
    }

    @Test(
        arguments: [
            ("", .missingHost), ("Host: a b\r\n", .invalidHost), ("Host: a,b\r\n", .invalidHost),
            ("Host: a/b\r\n", .invalidHost), ("Host: u@a\r\n", .invalidHost), ("Host: a\\b\r\n", .invalidHost),
            ("Host: \u{E9}\r\n", .invalidHost), ("Host: a?b\r\n", .invalidHost),
        ] as [(String, HTTPDecodeError.Reason)])
    func aHostIsRefused(field: String, reason: HTTPDecodeError.Reason) {
        #expect(decodeRequests([Array("GET / HTTP/1.1\r\n\(field)\r\n")]).error == reason)
    }

    @Test func anOldRequestCannotBeChunked() {
        let text = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"
        #expect(decodeRequests([Array(text)]).error == .invalidTransferEncoding)
    }

    @Test(
        arguments: [
            ("\r\n", .invalidChunkSize), ("g\r\n", .invalidChunkSize), ("-1\r\n", .invalidChunkSize),
            ("+1\r\n", .invalidChunkSize), ("0x1\r\n", .invalidChunkSize), (" 1\r\n", .invalidChunkSize),
            ("1 \r\n", .invalidChunkSize), ("1 1\r\n", .invalidChunkSize), (";x\r\n", .invalidChunkSize),
            ("8000000000000000\r\n", .invalidChunkSize), ("10000000000000000\r\n", .invalidChunkSize),
            ("1\n", .bareLineFeed), ("1\rx", .bareCarriageReturn), ("1;a\nb\r\n", .bareLineFeed),
            ("1;a\0\r\n", .controlCharacter), ("1\r\nab", .missingChunkEnd), ("1\r\na\n", .missingChunkEnd),
            ("1\r\na\rb", .missingChunkEnd), ("0\r\nA: b\n\r\n", .bareLineFeed),
            ("0\r\nA b\r\n\r\n", .spaceBeforeColon),
            ("0\r\n: b\r\n\r\n", .invalidFieldName), ("0\r\n\r", nil), ("7fffffffffffffff\r\n", nil),
        ] as [(String, HTTPDecodeError.Reason?)])
    func aChunkIsRefused(body: String, reason: HTTPDecodeError.Reason?) {
        let head = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        let transcript = decodeRequests([Array(head + body)])
        #expect(transcript.error == reason)
        for pieces in cuts(of: Array(head + body), random: 0) { #expect(decodeRequests(pieces) == transcript) }
    }

    @Test func limitsHoldToTheByte() {
        var limits = HTTPLimits()
        limits.maxHead = 64
        limits.maxFields = 3
        limits.maxChunkLine = 8
        limits.maxTrailer = 16
        func decode(_ text: String) -> HTTPDecodeError.Reason? {
            let whole = decodeRequests([Array(text)], limits: limits)
            for pieces in cuts(of: Array(text), random: 5) {
                #expect(decodeRequests(pieces, limits: limits) == whole)
            }
            return whole.error
        }
        func head(count: Int) -> String {
            let rest = "GET / HTTP/1.1\r\nHost: h\r\nA: \r\n\r\n"
            return rest.replacing("A: ", with: "A: " + String(repeating: "x", count: count - rest.utf8.count))
        }
        #expect(decode(head(count: 64)) == nil)
        #expect(decode(head(count: 65)) == .headTooLarge)
        #expect(decode("GET /" + String(repeating: "x", count: 60)) == .startLineTooLong)
        #expect(decode("GET / HTTP/1.1\r\nHost: h\r\nA:\r\nB:\r\n\r\n") == nil)
        #expect(decode("GET / HTTP/1.1\r\nHost: h\r\nA:\r\nB:\r\nC:\r\n\r\n") == .tooManyFields)
        #expect(decode("\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n") == nil)
        #expect(decode("\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n") == .tooManyEmptyLines)
        let chunked = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        #expect(decode(chunked + "1;345678\r\na\r\n0\r\n\r\n") == nil)
        #expect(decode(chunked + "1;3456789\r\na\r\n0\r\n\r\n") == .chunkLineTooLong)
        #expect(decode(chunked + "000000001\r\na\r\n0\r\n\r\n") == .chunkLineTooLong)
        #expect(decode(chunked + "0\r\nA: 4567890123\r\n\r\n") == .trailerTooLarge)
        #expect(decode(chunked + "0\r\nA: 45678901234567") == .trailerTooLarge)
        #expect(decode(chunked + "0\r\nA: 456789012\r\n\r\n") == nil)
        #expect(decode(chunked + "0\r\nA:\r\nB:\r\nC:\r\n\r\n") == nil)
        #expect(decode(chunked + "0\r\nA:\r\nB:\r\nC:\r\nD:\r\n") == .tooManyFields)
    }

    @Test(arguments: HTTPDecodeError.Reason.allCases)
    func everyErrorSaysWhatIsWrong(reason: HTTPDecodeError.Reason) {
        let error = HTTPDecodeError(reason)
        #expect(!error.description.isEmpty && error.description.utf8.allSatisfy { 0x20..<0x7F ~= $0 })
        #expect([400, 414, 431, 501, 505].contains(error.suggestedStatus))
    }
}
