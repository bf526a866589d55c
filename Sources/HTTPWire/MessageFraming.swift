/// What the fields of one message say about where it ends and whether the connection outlives it.
///
/// Two parsers that disagree on this are how requests are smuggled, so anything ambiguous is an error and nothing is
/// repaired (RFC 9112 §6.3, §11.2).
struct MessageFraming {
    /// Whether a length may be said more than once, as long as it is the same (RFC 9110 §8.6). It may in a response: Remora says the
    /// length itself in what it passes on.
    private let mayRepeatLength: Bool
    private(set) var contentLength: Int?
    private(set) var isChunked = false
    private(set) var hasHost = false
    private(set) var expectsContinue = false
    private var closes = false
    private var keepsAlive = false

    init(mayRepeatLength: Bool = false) { self.mayRepeatLength = mayRepeatLength }

    /// Takes in one field line; fields that mean nothing here are skipped by the length of their name.
    @inline(__always)
    mutating func noteField(_ line: HTTPFields.Line, in head: borrowing Span<UInt8>) throws(HTTPDecodeError) {
        let (name, value) = (line.name, line.value)
        switch name.count {
        case 4 where head.extracting(name).equalsIgnoringCase("host"):
            try noteHost(head.extracting(value))
        case 6 where head.extracting(name).equalsIgnoringCase("expect"):
            if head.extracting(value).equalsIgnoringCase("100-continue") { expectsContinue = true }
        case 10 where head.extracting(name).equalsIgnoringCase("connection"):
            head.forEachListMember(in: value) { option in
                if option.equalsIgnoringCase("close") { closes = true }
                if option.equalsIgnoringCase("keep-alive") { keepsAlive = true }
            }
        case 14 where head.extracting(name).equalsIgnoringCase("content-length"):
            guard let length = head.extracting(value).decimal else { throw HTTPDecodeError(.invalidContentLength) }
            guard contentLength == nil || (mayRepeatLength && contentLength == length) else {
                throw HTTPDecodeError(.duplicateContentLength)
            }
            contentLength = length
        case 17 where head.extracting(name).equalsIgnoringCase("transfer-encoding"):
            try noteTransferEncoding(head, value)
        default:
            break
        }
    }

    /// Checks what only the whole head shows. `minorVersion` is the message's.
    func checkFraming(minorVersion: Int) throws(HTTPDecodeError) {
        guard isChunked else { return }
        if contentLength != nil { throw HTTPDecodeError(.conflictingLengths) }
        // RFC 9112 §6.1: in HTTP/1.0 the framing of a message with `Transfer-Encoding` is faulty.
        if minorVersion == 0 { throw HTTPDecodeError(.invalidTransferEncoding) }
    }

    /// May another message follow on the connection (RFC 9112 §9.3)?
    func keepAlive(minorVersion: Int) -> Bool { !closes && (minorVersion == 1 || keepsAlive) }

    private mutating func noteHost(_ value: borrowing Span<UInt8>) throws(HTTPDecodeError) {
        if hasHost { throw HTTPDecodeError(.duplicateHost) }
        hasHost = true
        guard value.isHost else { throw HTTPDecodeError(.invalidHost) }
    }

    private mutating func noteTransferEncoding(
        _ head: borrowing Span<UInt8>, _ value: Range<Int>
    ) throws(HTTPDecodeError) {
        if isChunked { throw HTTPDecodeError(.invalidTransferEncoding) }
        if head.extracting(value).equalsIgnoringCase("chunked") {
            isChunked = true
            return
        }
        var codings = 0
        var chunked = 0
        var endsChunked = false
        head.forEachListMember(in: value) { coding in
            endsChunked = coding.equalsIgnoringCase("chunked")
            codings += 1
            chunked += endsChunked ? 1 : 0
        }
        // RFC 9112 §6.3 wants 400 if the end cannot be found, §6.1 wants 501 for a coding before the final `chunked`.
        let isFramed = endsChunked && chunked == 1 && codings > 1
        throw HTTPDecodeError(isFramed ? .unsupportedTransferCoding : .invalidTransferEncoding)
    }
}
