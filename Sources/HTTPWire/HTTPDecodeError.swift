/// A peer broke the protocol or a limit. The connection cannot be used any further: where the next message starts is
/// unknown, so the decoder repeats the error for ever.
package struct HTTPDecodeError: Error, Sendable, Equatable {
    /// What is wrong. Each case names its rule in RFC 9112 or RFC 9110.
    package enum Reason: Sendable, Equatable, CaseIterable {
        /// A line feed without a carriage return before it. RFC 9112 §2.2 lets it pass, and smuggling lives on that.
        case bareLineFeed
        /// A carriage return without a line feed after it (RFC 9112 §2.2).
        case bareCarriageReturn
        /// A control character other than HTAB (RFC 9110 §5.5).
        case controlCharacter
        /// More than a few empty lines before a request line (RFC 9112 §2.2).
        case tooManyEmptyLines
        /// The request line is not `method SP target SP version` (RFC 9112 §3).
        case malformedRequestLine
        /// The request target is in none of the four forms or has a character that it cannot have (RFC 9112 §3.2).
        case invalidTarget
        /// A version other than HTTP/1.0 and HTTP/1.1 (RFC 9112 §2.3).
        case unsupportedVersion
        /// The status line is not `version SP status SP reason` with a status from 100 to 599 (RFC 9112 §4).
        case malformedStatusLine
        /// `101 Switching Protocols`, which was not asked for (RFC 9110 §15.2.2).
        case unexpectedUpgrade
        /// More informational responses before one response than anybody sends.
        case tooManyInformationalResponses
        /// The start line alone is over ``HTTPLimits/maxHead``.
        case startLineTooLong
        /// The head is over ``HTTPLimits/maxHead``.
        case headTooLarge
        /// More field lines than ``HTTPLimits/maxFields``.
        case tooManyFields
        /// A field name is empty or not a token, or its colon is missing (RFC 9112 §5).
        case invalidFieldName
        /// Whitespace between a field name and the colon (RFC 9112 §5.1).
        case spaceBeforeColon
        /// A field line that starts with whitespace (RFC 9112 §5.2).
        case obsoleteLineFolding
        /// An HTTP/1.1 request without `Host` (RFC 9112 §3.2).
        case missingHost
        /// More than one `Host` (RFC 9112 §3.2).
        case duplicateHost
        /// A `Host` that is not a host with an optional port (RFC 9112 §3.2).
        case invalidHost
        /// A `Content-Length` that is not one decimal number below 2^63 (RFC 9110 §8.6).
        case invalidContentLength
        /// More than one `Content-Length`, even if they are equal (RFC 9112 §6.3).
        case duplicateContentLength
        /// `Transfer-Encoding` and `Content-Length` together (RFC 9112 §6.1).
        case conflictingLengths
        /// A `Transfer-Encoding` whose last coding is not exactly one `chunked`, or several of them, or one in HTTP/1.0
        /// (RFC 9112 §6.1).
        case invalidTransferEncoding
        /// A transfer coding before the final `chunked` (RFC 9112 §6.1).
        case unsupportedTransferCoding
        /// A chunk size that is not a hexadecimal number below 2^63, or something after it that is no extension
        /// (RFC 9112 §7.1).
        case invalidChunkSize
        /// A chunk-size line over ``HTTPLimits/maxChunkLine``.
        case chunkLineTooLong
        /// Chunk data that CRLF does not follow (RFC 9112 §7.1).
        case missingChunkEnd
        /// The trailer section is over ``HTTPLimits/maxTrailer``.
        case trailerTooLarge
        /// The peer closed the connection in the middle of a message (RFC 9112 §8).
        case truncated
    }

    /// Which rule or limit.
    package let reason: Reason

    /// An error with this reason.
    package init(_ reason: Reason) { self.reason = reason }

    /// The status for a client whose request this was. A bad *response* is the backend's fault: answer 502 for it.
    package var suggestedStatus: Int {
        switch reason {
        case .startLineTooLong: 414
        case .headTooLarge, .tooManyFields, .trailerTooLarge: 431
        case .unsupportedTransferCoding: 501
        case .unsupportedVersion: 505
        default: 400
        }
    }
}

extension HTTPDecodeError: CustomStringConvertible {
    /// What is wrong, for a person.
    package var description: String {
        switch reason {
        case .bareLineFeed: "a line ends with LF alone; HTTP lines end with CRLF"
        case .bareCarriageReturn: "a carriage return stands without its line feed"
        case .controlCharacter: "the head contains a control character"
        case .tooManyEmptyLines: "too many empty lines stand before the request line"
        case .malformedRequestLine: "the request line is not 'METHOD target HTTP/1.1'"
        case .invalidTarget: "the request target is malformed; percent-encode what a URI cannot contain"
        case .unsupportedVersion: "the HTTP version is not 1.0 or 1.1"
        case .malformedStatusLine: "the status line is not 'HTTP/1.1 nnn reason' with a status from 100 to 599"
        case .unexpectedUpgrade: "101 Switching Protocols was sent without being asked for"
        case .tooManyInformationalResponses: "too many informational (1xx) responses precede the response"
        case .startLineTooLong: "the start line is too long"
        case .headTooLarge: "the header section is too large"
        case .tooManyFields: "there are too many header fields"
        case .invalidFieldName: "a header field has an empty or invalid name, or no colon"
        case .spaceBeforeColon: "whitespace stands between a header field's name and its colon"
        case .obsoleteLineFolding: "a header field is folded over several lines"
        case .missingHost: "the Host header field is missing"
        case .duplicateHost: "there is more than one Host header field"
        case .invalidHost: "the Host header field is not a host with an optional port"
        case .invalidContentLength: "Content-Length is not one decimal number"
        case .duplicateContentLength: "there is more than one Content-Length header field"
        case .conflictingLengths: "Content-Length and Transfer-Encoding are both present"
        case .invalidTransferEncoding: "Transfer-Encoding is not exactly one final 'chunked' in HTTP/1.1"
        case .unsupportedTransferCoding: "a transfer coding other than 'chunked' is used"
        case .invalidChunkSize: "a chunk size is not a hexadecimal number"
        case .chunkLineTooLong: "a chunk-size line is too long"
        case .missingChunkEnd: "chunk data is not followed by CRLF"
        case .trailerTooLarge: "the trailer section is too large"
        case .truncated: "the connection was closed in the middle of a message"
        }
    }
}
