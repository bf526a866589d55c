/// A request method (RFC 9110 §9, RFC 5789). Methods are case-sensitive: `get` is ``other``.
package enum HTTPMethod: UInt8, Sendable, CaseIterable {
    case get, head, post, put, delete, options, patch, trace, connect

    /// Any other token.
    case other

    /// Written out: other modules look up the compiler's own by the protocol, at each comparison.
    @inline(__always)
    package static func == (left: HTTPMethod, right: HTTPMethod) -> Bool { left.rawValue == right.rawValue }

    @inline(__always)
    package static func != (left: HTTPMethod, right: HTTPMethod) -> Bool { left.rawValue != right.rawValue }

    /// The method as it stands in a request line; empty for ``other``.
    package var name: StaticString {
        switch self {
        case .get: "GET"
        case .head: "HEAD"
        case .post: "POST"
        case .put: "PUT"
        case .delete: "DELETE"
        case .options: "OPTIONS"
        case .patch: "PATCH"
        case .trace: "TRACE"
        case .connect: "CONNECT"
        case .other: ""
        }
    }

    init(_ name: borrowing Span<UInt8>) {
        // The two that are nearly every request come first.
        if name.equals("POST") {
            self = .post
        } else if name.equals("GET") {
            self = .get
        } else {
            self = .other
            for method in Self.allCases where name.equals(method.name) { self = method }
        }
    }
}
