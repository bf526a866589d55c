/// How the end of a message's body is found (RFC 9112 §6.3).
package enum HTTPBodyLength: Sendable, Equatable {
    /// There is no body.
    case none

    /// `Content-Length`: so many bytes, possibly 0.
    case bytes(Int)

    /// `Transfer-Encoding: chunked`.
    case chunked

    /// Everything until the peer closes the connection. Responses only.
    case untilClose
}
