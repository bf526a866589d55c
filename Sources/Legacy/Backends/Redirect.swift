import HTTPWire

/// A redirect of a server (RFC 9110 §15.4). One to a place of its own origin is followed, as frameworks have them that want a
/// slash at the end of a path; no other is, because credentials go with each request.
enum Redirect {
    /// In a row. A server that has moved twice has been forgotten by its operator.
    static let maxHops = 4
    /// Bytes of a place that are shown.
    private static let maxShown = 200

    /// Where to send the request again; nil: the answer is no redirect.
    ///
    /// - Parameters:
    ///   - base: path and query of what was asked.
    ///   - method: what was sent. A POST that would become a GET on the way (301, 302, 303) is not followed.
    ///   - hops: how many redirects were followed before this one.
    /// - Throws: what to tell of a redirect that is not followed.
    static func target(
        in head: HTTPResponseHead, from base: [UInt8], to method: HTTPMethod, of backend: Backend, after hops: Int
    ) throws(BackendError) -> [UInt8]? {
        guard [301, 302, 303, 307, 308].contains(head.status) else { return nil }
        let location = head.fields.first("location").map { Array($0.bytes) } ?? []
        let keepsMethod = head.status == 307 || head.status == 308
        let target = EndpointReference.resolve(
            location, against: base, host: backend.host, isSecure: backend.isSecure)
        if let target, hops < maxHops, keepsMethod || method == .get { return target }
        let answer = "the server answered \(method.name) with HTTP \(head.status)"
        if location.isEmpty { throw BackendError(.unavailable, "\(answer), which leads nowhere") }
        let place = shown(location)
        if target == nil {
            throw BackendError(
                .unavailable,
                "\(answer), which leads to another origin (\(place)); if that is the server, set backends[].url to it")
        }
        if hops >= maxHops { throw BackendError(.unavailable, "\(answer) again and again, at last to \(place)") }
        throw BackendError(.unavailable, "\(answer), which leads to \(place); set backends[].url to that place")
    }

    /// A place without what may be a secret in it: user, query and fragment.
    private static func shown(_ location: [UInt8]) -> String {
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
