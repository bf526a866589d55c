import HTTPWire

/// A redirect of a server (RFC 9110 §15.4). One to a place of its own origin is followed, as frameworks have them that want a
/// slash at the end of a path; no other is, because credentials go with each request.
enum Redirect {
    /// In a row. A server that has moved twice has been forgotten by its operator.
    static let maxHops = 4
    /// Bytes of a place that are shown.
    private static let maxShown = 200

    /// The way of a request that is redirected.
    struct Course {
        /// Where it was first sent: a later answer to another request may have moved the session meanwhile.
        private let start: [UInt8]
        /// Where it is to go; nil as long as nothing has redirected it.
        private(set) var place: [UInt8]?
        private var hops = 0
        /// Whether each of them says that it holds for later requests, too (308).
        private var isForGood = true

        /// - Parameter start: path and query that it is sent to.
        init(from start: [UInt8]) { self.start = start }

        /// Where later requests are to go, too; nil where that was not said.
        var movedTo: [UInt8]? { isForGood ? place : nil }

        /// Whether an answer has the request go elsewhere, to be sent again to its new ``place``.
        ///
        /// - Throws: what to tell of a redirect that is not followed.
        mutating func isRedirected(
            by head: HTTPResponseHead, to method: HTTPMethod, of backend: Backend
        ) throws(BackendError) -> Bool {
            let target = try Redirect.redirectTarget(
                in: head, from: place ?? start, to: method, of: backend, after: hops)
            guard let target else { return false }
            place = target
            hops += 1
            isForGood = isForGood && head.status == 308
            return true
        }
    }

    /// Whether an answer is a redirect.
    static func isMeant(by status: Int) -> Bool { [301, 302, 303, 307, 308].contains(status) }

    /// Whether a redirect has the request go there as it was. Nothing has run then; after another, something may have.
    static func keepsRequest(_ status: Int) -> Bool { status == 307 || status == 308 }

    /// Where to send the request again; nil: the answer is no redirect.
    ///
    /// - Parameters:
    ///   - base: path and query of what was asked.
    ///   - method: what was sent. A POST that would become a GET on the way (301, 302, 303) is not followed.
    ///   - hops: how many redirects were followed before this one.
    /// - Throws: what to tell of a redirect that is not followed.
    private static func redirectTarget(
        in head: HTTPResponseHead, from base: [UInt8], to method: HTTPMethod, of backend: Backend, after hops: Int
    ) throws(BackendError) -> [UInt8]? {
        guard isMeant(by: head.status) else { return nil }
        let location = head.fields.first("location").map { Array($0.bytes) } ?? []
        let isFollowed = keepsRequest(head.status) || method == .get
        let target = EndpointReference.resolveReference(
            location, against: base, host: backend.host, isSecure: backend.isSecure)
        if let target, hops < maxHops, isFollowed { return target }
        let kind: BackendError.Kind = isFollowed ? .unavailable : .outcomeUnknown
        let answer = "the server answered \(method.name) with HTTP \(head.status)"
        if location.isEmpty { throw BackendError(kind, "\(answer), which leads nowhere") }
        let place = publicLocation(location)
        guard EndpointReference.isReference(location) else {
            throw BackendError(kind, "\(answer), which leads to what is no URL (\(place))")
        }
        if target == nil {
            throw BackendError(
                kind,
                "\(answer), which leads to another origin (\(place)); if that is the server, set backends[].url to it")
        }
        if isFollowed { throw BackendError(kind, "\(answer) again and again, at last to \(place)") }
        throw BackendError(kind, "\(answer), which leads to \(place); set backends[].url to that place")
    }

    /// A place without what may be a secret in it: user, query and fragment.
    private static func publicLocation(_ location: [UInt8]) -> String {
        var rest = location.prefix { $0 != UInt8(ascii: "?") && $0 != UInt8(ascii: "#") }
        var scheme: ArraySlice<UInt8> = []
        if let start = authorityStart(rest) {
            scheme = rest[..<start]
            let end = rest[start...].firstIndex(of: UInt8(ascii: "/")) ?? rest.endIndex
            let host = rest[start..<end].lastIndex(of: UInt8(ascii: "@")).map { $0 + 1 } ?? start
            rest = rest[host...]
        }
        let visible = (scheme + rest).prefix(maxShown).map { (0x21...0x7E).contains($0) ? $0 : UInt8(ascii: "?") }
        return String(decoding: visible, as: UTF8.self)
    }

    /// Where the authority begins, behind `//`.
    private static func authorityStart(_ text: ArraySlice<UInt8>) -> Int? {
        let slash = UInt8(ascii: "/")
        guard let first = text.firstIndex(of: slash), first + 1 < text.endIndex, text[first + 1] == slash,
            first == text.startIndex || text[first - 1] == UInt8(ascii: ":")
        else { return nil }
        return first + 2
    }
}
