/// The status line and the header section of a response, checked (RFC 9112 §4, §5).
package struct HTTPResponseHead: Sendable, Equatable {
    /// 200 to 599: informational responses are not handed out.
    package let status: Int

    /// 0 for HTTP/1.0, 1 for HTTP/1.1.
    package let minorVersion: Int

    /// The header section.
    package let fields: HTTPFields

    /// May another request be sent on this connection once the body has ended? (RFC 9112 §9.3)
    ///
    /// False also where the body's end is the end of the connection, and where a 204 or 304 claims content that it
    /// cannot have, because then bytes may follow that are no response.
    package let keepAlive: Bool

    /// ``HTTPBodyLength/none`` for 204 and 304; ``HTTPBodyLength/untilClose`` if the response does not say.
    package let bodyLength: HTTPBodyLength

    /// How many bytes it is.
    var size: Int { fields.head.count }

    /// Parses the head that `bytes` starts with.
    ///
    /// - Throws: Also when `bytes` ends before the head.
    init(parsing bytes: borrowing Span<UInt8>, limits: HTTPLimits) throws(HTTPDecodeError) {
        let line = try StatusLine(bytes)
        var framing = MessageFraming(mayRepeatLength: true)
        let fields = try HTTPFields(
            parsing: bytes, from: line.end, maxLines: limits.maxFields
        ) { (line, bytes) throws(HTTPDecodeError) in try framing.noteField(line, in: bytes) }
        try framing.checkFraming(minorVersion: line.minorVersion)
        // Last, when nothing throws any more: what was set before would be copied.
        self.fields = fields
        status = line.status
        minorVersion = line.minorVersion
        let keepAlive = framing.keepAlive(minorVersion: line.minorVersion)
        if status < 200 || status == 204 || status == 304 {
            bodyLength = .none
            // A 304 rightly tells the length that a 200 would have (RFC 9110 §8.6).
            let mayHaveBytes = framing.isChunked || (status != 304 && framing.contentLength ?? 0 > 0)
            self.keepAlive = keepAlive && !mayHaveBytes
        } else if framing.isChunked {
            bodyLength = .chunked
            self.keepAlive = keepAlive
        } else if let length = framing.contentLength {
            bodyLength = .bytes(length)
            self.keepAlive = keepAlive
        } else {
            bodyLength = .untilClose
            self.keepAlive = false
        }
    }
}

/// `HTTP-version SP status-code SP [ reason-phrase ] CRLF` (RFC 9112 §4). The SP before a missing reason may be missing
/// too, as some servers send it.
private struct StatusLine {
    let status: Int
    let minorVersion: Int
    /// Where the first field line starts.
    let end: Int

    init(_ head: borrowing Span<UInt8>) throws(HTTPDecodeError) {
        let lineEnd = head.firstControl(from: 0, to: head.count)
        guard head.hasLineEnd(at: lineEnd) else { throw HTTPDecodeError(.controlCharacter) }
        let versionEnd = head.first(ASCII.space, from: 0, to: lineEnd)
        minorVersion = try head.extracting(0..<versionEnd).httpMinorVersion(else: .malformedStatusLine)
        let statusEnd = versionEnd + 4
        guard statusEnd <= lineEnd, let status = head.extracting(versionEnd + 1..<statusEnd).decimal,
            100...599 ~= status, statusEnd == lineEnd || head[statusEnd] == ASCII.space
        else { throw HTTPDecodeError(.malformedStatusLine) }
        self.status = status
        end = lineEnd + 2
    }
}
