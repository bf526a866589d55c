/// The request line and the header section of a request, checked (RFC 9112 §3, §5).
package struct HTTPRequestHead: Sendable, Equatable {
    /// What the client wants done; ``methodString`` has the name of a method that is not known here.
    package let method: HTTPMethod

    /// 0 for HTTP/1.0, 1 for HTTP/1.1.
    package let minorVersion: Int

    /// The header section.
    package let fields: HTTPFields

    /// May another request follow on this connection? HTTP/1.1: unless the client says `close`; HTTP/1.0: only if it says
    /// `keep-alive` (RFC 9112 §9.3).
    package let keepAlive: Bool

    /// The client waits for `100 Continue` before it sends the body (RFC 9110 §10.1.1).
    package let expectsContinue: Bool

    /// ``HTTPBodyLength/none`` without `Content-Length` and `Transfer-Encoding`; never ``HTTPBodyLength/untilClose``.
    package let bodyLength: HTTPBodyLength

    private let methodEnd: Int
    private let targetEnd: Int

    /// The method's token as received, for the methods that are ``HTTPMethod/other``.
    package var methodString: String { String(decoding: fields.head[..<methodEnd], as: UTF8.self) }

    /// The request target as received: printable ASCII without spaces and `#`, at least one byte.
    package var target: ArraySlice<UInt8> { fields.head[methodEnd + 1..<targetEnd] }

    /// ``target`` as text.
    package var targetString: String { String(decoding: target, as: UTF8.self) }

    /// The path of the target without its query, not percent-decoded: `/` if an absolute form has none, `*` for the
    /// asterisk form, empty for the authority form.
    package var path: ArraySlice<UInt8> {
        if method == .connect { return [] }
        let target = target
        var pathStart = target.startIndex
        if let authority = target.span.absoluteFormAuthority { pathStart += authority.upperBound }
        let path = target[pathStart...].prefix { $0 != ASCII.question }
        return path.isEmpty ? [ASCII.slash] : path
    }

    /// Whether ``path`` is this one.
    package func hasPath(_ expected: [UInt8]) -> Bool {
        let bytes = fields.head.span.extracting(methodEnd + 1..<targetEnd)
        // Nearly always the path is all there is.
        if bytes.count == expected.count, bytes[0] == ASCII.slash {
            for index in bytes.indices where bytes[index] != expected[index] { return false }
            return bytes.first(ASCII.question, from: 0, to: bytes.count) == bytes.count
        }
        return path == expected[...]
    }

    /// The host and port that the request is for: from an absolute-form target, which goes before `Host` (RFC 9112
    /// §3.2.2), else the value of `Host`. Nil in an HTTP/1.0 request without either.
    package var authority: HTTPFieldValue? {
        let target = target
        if method != .connect, let authority = target.span.absoluteFormAuthority {
            let start = target.startIndex
            return HTTPFieldValue(target[start + authority.lowerBound..<start + authority.upperBound])
        }
        return fields.first("host")
    }

    /// How many bytes it is.
    var size: Int { fields.head.count }

    /// Parses the head that `bytes` starts with.
    ///
    /// - Throws: Also when `bytes` ends before the head.
    init(parsing bytes: borrowing Span<UInt8>, limits: HTTPLimits) throws(HTTPDecodeError) {
        let line = try RequestLine(bytes)
        var framing = MessageFraming()
        let fields = try HTTPFields(
            parsing: bytes, from: line.end, maxLines: limits.maxFields
        ) { (line, bytes) throws(HTTPDecodeError) in try framing.noteField(line, in: bytes) }
        try framing.checkFraming(minorVersion: line.minorVersion)
        if line.minorVersion == 1, !framing.hasHost { throw HTTPDecodeError(.missingHost) }
        // Last, when nothing throws any more: what was set before would be copied.
        self.fields = fields
        method = line.method
        minorVersion = line.minorVersion
        methodEnd = line.methodEnd
        targetEnd = line.targetEnd
        keepAlive = framing.keepAlive(minorVersion: line.minorVersion)
        expectsContinue = framing.expectsContinue && line.minorVersion == 1
        bodyLength = framing.isChunked ? .chunked : framing.contentLength.map { .bytes($0) } ?? .none
    }
}

/// `method SP request-target SP HTTP-version CRLF` (RFC 9112 §3).
private struct RequestLine {
    let method: HTTPMethod
    let minorVersion: Int
    let methodEnd: Int
    let targetEnd: Int
    /// Where the first field line starts.
    let end: Int

    init(_ head: borrowing Span<UInt8>) throws(HTTPDecodeError) {
        let lineEnd = head.firstControl(from: 0, to: head.count)
        guard head.hasLineEnd(at: lineEnd) else { throw HTTPDecodeError(.controlCharacter) }
        let methodEnd = head.tokenEnd(from: 0)
        guard methodEnd > 0, head[methodEnd] == ASCII.space else { throw HTTPDecodeError(.malformedRequestLine) }
        let targetStart = methodEnd + 1
        let targetEnd = head.first(ASCII.space, from: targetStart, to: lineEnd)
        guard targetEnd > targetStart, targetEnd < lineEnd else { throw HTTPDecodeError(.malformedRequestLine) }
        // The version first: the preface of HTTP/2 is better called that than a bad target.
        minorVersion = try head.extracting(targetEnd + 1..<lineEnd).httpMinorVersion(else: .malformedRequestLine)
        method = HTTPMethod(head.extracting(0..<methodEnd))
        let target = head.extracting(targetStart..<targetEnd)
        guard Self.isValid(target, for: method) else { throw HTTPDecodeError(.invalidTarget) }
        self.methodEnd = methodEnd
        self.targetEnd = targetEnd
        end = lineEnd + 2
    }

    private static func isValid(_ target: borrowing Span<UInt8>, for method: HTTPMethod) -> Bool {
        guard target.hasOnlyTargetCharacters else { return false }
        if method == .connect { return target.isHost }
        if target[0] == ASCII.slash { return true }
        if target.equals("*") { return method == .options }
        return target.absoluteFormAuthority != nil
    }
}
