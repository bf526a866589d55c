/// Rewrites the backend's own URLs into URLs of Remora (2026-07-28, basic/authorization/index): a client requests a
/// token for the resource that it connects to.
struct PublicAddress {
    private static let wellKnown = [
        "/.well-known/oauth-protected-resource", "/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration",
    ]

    let publicURL: PublicURL
    private let host: String
    private let port: String
    private let path: String

    /// - Parameters:
    ///   - host: value of `Host` for the backend.
    ///   - defaultPort: default port of the backend's scheme.
    ///   - path: path of the backend's MCP endpoint.
    init(_ publicURL: PublicURL, host: String, defaultPort: String = "80", path: String) {
        self.publicURL = publicURL
        self.path = path
        (self.host, port) = PublicAddress.splitAuthority(host.lowercased(), defaultPort: defaultPort)
    }

    /// The URL for clients; `nil` if it is none of the backend.
    func rewriteURL(_ url: String) -> String? {
        backendParts(of: url).map { publicURL.origin + rewritePath($0.path) + $0.rest }
    }

    /// The path of a URL of the backend; `nil` if it is none of the backend.
    func backendPath(of url: String) -> String? { backendParts(of: url)?.path }

    /// The path of a URL of the backend, and the rest after the path.
    private func backendParts(of url: String) -> (path: String, rest: Substring)? {
        guard let schemeEnd = url.utf8.firstIndex(of: UInt8(ascii: ":")) else { return nil }
        let scheme = url[..<schemeEnd].lowercased()
        guard scheme == "http" || scheme == "https", url[schemeEnd...].hasPrefix("://") else { return nil }
        let rest = url[schemeEnd...].dropFirst(3)
        let end = rest.firstIndex { "/?#".contains($0) } ?? rest.endIndex
        let (host, port) = PublicAddress.splitAuthority(
            rest[..<end].lowercased(), defaultPort: scheme == "http" ? "80" : "443")
        guard port == self.port, host == self.host || isLoopback(host) && isLoopback(self.host) else { return nil }
        let pathEnd = rest[end...].firstIndex { "?#".contains($0) } ?? rest.endIndex
        return (String(rest[end..<pathEnd]), rest[pathEnd...])
    }

    /// The path for clients. Those of the endpoint and of its documents differ.
    private func rewritePath(_ path: String) -> String {
        if path == self.path { return publicURL.path }
        if path == self.path + AuthorizationRoute.resourcePath {
            return publicURL.path + AuthorizationRoute.resourcePath
        }
        for prefix in PublicAddress.wellKnown where path == prefix + self.path { return prefix + publicURL.path }
        return path
    }

    /// A value of `WWW-Authenticate` whose `resource_metadata` is rewritten (RFC 9728 §5.1). URLs of other origins
    /// stay.
    func rewriteChallenge(_ challenge: [UInt8]) -> [UInt8] {
        var output: [UInt8] = []
        var position = 0
        while let value = PublicAddress.resourceMetadata(in: challenge, from: position) {
            output += challenge[position..<value.lowerBound]
            let quoted = challenge[value]
            let url = String(decoding: quoted.filter { $0 != UInt8(ascii: "\"") }, as: UTF8.self)
            if let published = rewriteURL(url) {
                output += Array("\"\(published)\"".utf8)
            } else {
                output += quoted
            }
            position = value.upperBound
        }
        return output + challenge[position...]
    }

    /// The paths of the backend's metadata that a challenge names.
    func metadataPaths(in challenge: [UInt8]) -> [String] {
        var paths: [String] = []
        var position = 0
        while let value = PublicAddress.resourceMetadata(in: challenge, from: position) {
            let url = String(decoding: challenge[value].filter { $0 != UInt8(ascii: "\"") }, as: UTF8.self)
            if let path = backendPath(of: url) { paths.append(path) }
            position = value.upperBound
        }
        return paths
    }

    /// The range of the parameter's next value, with its quotes. Names within quoted strings are skipped.
    private static func resourceMetadata(in challenge: [UInt8], from start: Int) -> Range<Int>? {
        var position = start
        while position < challenge.count {
            if challenge[position] == UInt8(ascii: "\"") {
                position = endOfQuoted(challenge, position)
                continue
            }
            let end = challenge[position...].firstIndex { " \t,=\"".utf8.contains($0) } ?? challenge.count
            if end == position {
                position += 1
                continue
            }
            let name = String(decoding: challenge[position..<end], as: UTF8.self).lowercased()
            position = end
            guard name == "resource_metadata" else { continue }
            let isSpace: (UInt8) -> Bool = { $0 == 0x20 || $0 == 0x09 }
            let sign = challenge[end...].firstIndex { !isSpace($0) } ?? challenge.count
            guard sign < challenge.count, challenge[sign] == UInt8(ascii: "=") else { continue }
            let first = challenge[(sign + 1)...].firstIndex { !isSpace($0) } ?? challenge.count
            guard first < challenge.count else { return nil }
            if challenge[first] == UInt8(ascii: "\"") { return first..<endOfQuoted(challenge, first) }
            return first..<(challenge[first...].firstIndex { " \t,".utf8.contains($0) } ?? challenge.count)
        }
        return nil
    }

    /// The index after the quoted string that begins at `start` (RFC 9110 §5.6.4).
    private static func endOfQuoted(_ text: [UInt8], _ start: Int) -> Int {
        var position = start + 1
        while position < text.count, text[position] != UInt8(ascii: "\"") {
            position += text[position] == UInt8(ascii: "\\") ? 2 : 1
        }
        return min(position + 1, text.count)
    }

    private static func splitAuthority(_ authority: String, defaultPort: String) -> (host: String, port: String) {
        guard let colon = authority.utf8.lastIndex(of: UInt8(ascii: ":")),
            authority[colon...].utf8.dropFirst().allSatisfy({ (0x30...0x39).contains($0) })
        else { return (authority, defaultPort) }
        let port = String(authority[colon...].dropFirst())
        return (String(authority[..<colon]), port.isEmpty ? defaultPort : port)
    }

    /// A server that is reached by one of these names often uses another for itself.
    private func isLoopback(_ host: String) -> Bool { host == "localhost" || host == "127.0.0.1" || host == "[::1]" }
}
