/// The parts of an `http` or `https` URL that a client of it needs (RFC 9110 §4.2.1, RFC 3986 §3), or of `unix:PATH:TARGET`, which
/// stands for HTTP on a Unix socket.
package struct BackendURL: Sendable, Equatable {
    /// A host name, or a numeric address; an IPv6 address without its brackets.
    package var host: String
    /// The TCP port, 80 or 443 where the URL names none; never 0.
    package var port: UInt16
    /// Path and query as they go on the request line; begins with `/`.
    package var target: String
    /// What goes in the `Host` field: the host, IPv6 in brackets, with the port unless it is the scheme's own (RFC 9110
    /// §7.2).
    package var hostField: String
    /// Whether it is `https`.
    package var isSecure = false
    /// The path of the Unix socket that it is reached by, whatever ``host`` and ``port`` are.
    package var socketPath: String?

    /// Scheme and authority, or the socket: what may be shown, as path and query may hold a secret.
    package var origin: String { socketPath.map { "unix:\($0)" } ?? "\(isSecure ? "https" : "http")://\(hostField)" }
}

extension BackendURL {
    /// The URL in `text`.
    init(parsing text: String) throws(FormatError) {
        if text.hasPrefix("unix:") {
            self = try BackendURL(socket: text.dropFirst("unix:".count))
            return
        }
        guard let (scheme, rest) = text.splitScheme() else {
            throw FormatError("must be a URL such as http://127.0.0.1:9000/mcp")
        }
        guard scheme == "http" || scheme == "https" else {
            throw FormatError("must begin with http://, https:// or unix:")
        }
        let isSecure = scheme == "https"
        let usual: UInt16 = isSecure ? 443 : 80
        if rest.contains("#") {
            throw FormatError("must have no fragment: remove `#` and what follows")
        }
        let end = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
        if rest[..<end].contains("@") {
            throw FormatError(
                "must have no user name or password: Remora passes on the client's Authorization, and "
                    + "backends[].headers can set another")
        }
        guard let authority = Authority(rest[..<end]), authority.port != 0 else {
            throw FormatError(
                "must name a host and, if not \(usual), a port from 1 to 65535, such as http://127.0.0.1:9000/mcp or "
                    + "http://[::1]:9000/mcp")
        }
        let target = rest[end...].hasPrefix("/") ? String(rest[end...]) : "/" + rest[end...]
        guard target.isRequestTarget else { throw Self.badTarget }
        self.host = authority.host
        self.port = authority.port ?? usual
        self.isSecure = isSecure
        self.target = target
        self.hostField = port == usual ? authority.bracketedHost : "\(authority.bracketedHost):\(port)"
    }

    private static let badTarget = FormatError(
        "must have a path of plain URL characters: write others as %XX, a space as %20")

    /// `PATH` or `PATH:TARGET`. A server on a socket of its machine knows itself by no other name than `localhost`.
    private init(socket text: Substring) throws(FormatError) {
        let end = text.firstIndex(of: ":") ?? text.endIndex
        guard let path = SocketPath(text[..<end]) else { throw SocketPath.refusal }
        let target = end == text.endIndex ? "/mcp" : String(text[text.index(after: end)...])
        guard target.hasPrefix("/"), target.isRequestTarget else {
            throw FormatError(
                "must have the path of the endpoint behind the second colon, such as unix:/run/mcp.sock:/mcp, in plain "
                    + "URL characters")
        }
        self.init(host: "localhost", port: 80, target: target, hostField: "localhost", socketPath: path.text)
    }
}
