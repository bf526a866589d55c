import HTTPWire

/// The place that the first event of an HTTP+SSE server names for messages (2024-11-05, basic/transports, "HTTP with SSE"): a
/// URI reference, which is resolved against the URL of the stream (RFC 3986 §5). Where a redirect leads is resolved in the same
/// way.
///
/// A server on this machine may call it by another of its names than the configuration does: they stand for each other, and only
/// path and query are taken.
enum EndpointReference {
    /// Path and query to post to; nil for what is no reference, or leads elsewhere than to the server itself: credentials
    /// go with each message. Bytes beyond ASCII in them are percent-encoded, as clients do that take a URL.
    ///
    /// - Parameters:
    ///   - target: path and query of the stream.
    ///   - host: the server's `Host`.
    ///   - isSecure: whether it is reached by `https`.
    static func resolveReference(
        _ reference: [UInt8], against target: [UInt8], host: [UInt8], isSecure: Bool
    ) -> [UInt8]? {
        guard isReference(reference) else { return nil }
        var rest = reference[...]
        if let fragment = rest.firstIndex(of: UInt8(ascii: "#")) { rest = rest[..<fragment] }
        if let colon = schemeEnd(rest) {
            guard rest[..<colon].map({ $0 | 0x20 }).elementsEqual((isSecure ? "https" : "http").utf8),
                rest[colon...].starts(with: "://".utf8)
            else { return nil }
            rest = rest[(colon + 1)...]
        }
        if rest.starts(with: "//".utf8) {
            let authority = rest.dropFirst(2)
            let end = authority.firstIndex { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "?") } ?? authority.endIndex
            guard isSame(canonicalAuthority(authority[..<end], isSecure), canonicalAuthority(host[...], isSecure))
            else { return nil }
            return withoutDotSegments(authority[end...])
        }
        if rest.first == UInt8(ascii: "/") { return withoutDotSegments(rest) }
        let path = target.prefix { $0 != UInt8(ascii: "?") }
        if rest.first == UInt8(ascii: "?") || rest.isEmpty { return withoutDotSegments(path + rest) }
        let folder = path.lastIndex(of: UInt8(ascii: "/")).map { path[...$0] } ?? [UInt8(ascii: "/")]
        return withoutDotSegments(folder + rest)
    }

    /// Whether a text can be a reference: one of visible characters.
    static func isReference(_ text: [UInt8]) -> Bool { !text.isEmpty && text.allSatisfy { $0 > 0x20 && $0 != 0x7F } }

    /// Where the scheme ends, if there is one (RFC 3986 §3.1).
    private static func schemeEnd(_ text: ArraySlice<UInt8>) -> Int? {
        guard let end = text.firstIndex(where: { ":/?".utf8.contains($0) }), text[end] == UInt8(ascii: ":") else {
            return nil
        }
        return end
    }

    /// In lower case, without the default port.
    private static func canonicalAuthority(_ authority: ArraySlice<UInt8>, _ isSecure: Bool) -> ArraySlice<UInt8> {
        let lower = authority.map(\.lowercasedASCII)
        let port = Array((isSecure ? ":443" : ":80").utf8)
        return lower.suffix(port.count) == port[...] ? lower.dropLast(port.count) : lower[...]
    }

    /// Whether two authorities are one server's.
    private static func isSame(_ one: ArraySlice<UInt8>, _ other: ArraySlice<UInt8>) -> Bool {
        if one == other { return true }
        guard let port = loopbackPort(one) else { return false }
        return loopbackPort(other) == port
    }

    /// What stands behind the host, where that is a name of this machine: of its loopback interface, or the address that
    /// servers listen on which listen on all.
    private static func loopbackPort(_ authority: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
        for name in ["localhost", "127.0.0.1", "[::1]", "0.0.0.0", "[::]"] where authority.starts(with: name.utf8) {
            let rest = authority.dropFirst(name.utf8.count)
            if rest.isEmpty || rest.first == UInt8(ascii: ":") { return rest }
        }
        return nil
    }

    /// Without dot segments (RFC 3986 §5.2.4), and in ASCII.
    private static func withoutDotSegments(_ text: ArraySlice<UInt8>) -> [UInt8] {
        let query = text.firstIndex(of: UInt8(ascii: "?")) ?? text.endIndex
        var segments: [ArraySlice<UInt8>] = []
        var parts = text[..<query].split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        if parts.first?.isEmpty == true { parts.removeFirst() }
        for (index, part) in parts.enumerated() {
            let isLast = index == parts.count - 1
            if part.elementsEqual("..".utf8) {
                _ = segments.popLast()
                if isLast { segments.append([]) }
            } else if part.elementsEqual(".".utf8) {
                if isLast { segments.append([]) }
            } else {
                segments.append(part)
            }
        }
        return percentEncoded(
            [UInt8(ascii: "/")] + Array(segments.joined(separator: [UInt8(ascii: "/")])) + text[query...])
    }

    /// With `%` and two digits for each byte that no URI has (RFC 3986 §2.1).
    private static func percentEncoded(_ text: [UInt8]) -> [UInt8] {
        if text.allSatisfy({ $0 < 0x80 }) { return text }
        let digits = Array("0123456789ABCDEF".utf8)
        var ascii: [UInt8] = []
        for byte in text {
            if byte < 0x80 {
                ascii.append(byte)
            } else {
                ascii += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return ascii
    }
}
