package import HTTPWire

/// A request that has come in whole. It is a class because it never changes and waits in the frames of several
/// functions while it is answered.
package final class HTTPServerRequest: Sendable {
    package let head: HTTPRequestHead
    package let body: [UInt8]

    package init(head: HTTPRequestHead, body: [UInt8]) {
        self.head = head
        self.body = body
    }
}

/// Why a request could not be read to its end.
package enum HTTPRequestFlaw: Sendable {
    /// It is not HTTP/1.1 as RFC 9112 has it, or larger than the limits on its head.
    case malformed(HTTPDecodeError)
    /// The body is longer than allowed.
    case bodyTooLarge
    /// The head or the body did not come in time.
    case timedOut
}
