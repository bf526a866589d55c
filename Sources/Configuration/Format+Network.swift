private let listenShape = ValueShape.pattern("^(unix:/.*[^/]|.*:[0-9]+)$")

extension Format where Value == ListenAddress {
    /// `HOST:PORT` with a numeric address or `localhost`, `:PORT` for all interfaces, or `unix:PATH`.
    static var listenAddress: Format {
        Format(listenShape) { text throws(FormatError) in
            if text.hasPrefix("unix:") {
                guard let path = SocketPath(text.dropFirst("unix:".count)) else { throw SocketPath.refusal }
                return .unix(path: path.text)
            }
            // `::` takes IPv4 as well, as Linux is set by default.
            guard let authority = Authority(text.hasPrefix(":") ? "[::]" + text : text), let port = authority.port,
                authority.kind != .name || authority.host.lowercased() == "localhost"
            else {
                throw FormatError(
                    "must be HOST:PORT with a numeric address or localhost, such as 127.0.0.1:8808 or \"[::1]:8808\" "
                        + "(in quotes), :8808 for all interfaces, or unix: and the path of a socket")
            }
            return .tcp(host: authority.host.lowercased(), port: port)
        }
    }
}

/// The path of a Unix socket.
struct SocketPath {
    static let refusal = FormatError(
        "must have an absolute path of at most 107 bytes behind unix:, such as unix:/run/remora.sock")

    let text: String

    /// Nil unless the kernel takes it, wherever the process was started.
    init?(_ text: Substring) {
        guard text.hasPrefix("/"), !text.hasSuffix("/"), text.utf8.count <= 107,
            !text.utf8.contains(where: { $0 < 0x20 })
        else { return nil }
        self.text = String(text)
    }
}

extension Format where Value == UInt32 {
    /// The bits of a file's mode that say who may read and write it, in octal.
    static var fileMode: Format {
        Format(.fileMode) { text throws(FormatError) in
            guard (3...4).contains(text.utf8.count), text.utf8.allSatisfy(\.isDigit), let mode = UInt32(text, radix: 8),
                mode <= 0o777
            else {
                throw FormatError("must be the mode of a file in octal, such as 0660, 0600 or 0666")
            }
            return mode
        }
    }
}

extension Format where Value == ListenAddress? {
    /// `off`, or what `listenAddress` takes.
    static var adminAddress: Format {
        Format(listenShape.orWords("off")) { text throws(FormatError) in
            if text == "off" { return nil }
            do throws(FormatError) {
                return try Format<ListenAddress>.listenAddress.parse(text)
            } catch {
                throw FormatError(
                    "must be off, HOST:PORT with a numeric address or localhost, such as 127.0.0.1:9908, or unix: and "
                        + "the path of a socket", write: Spelling.likelyChoice(for: text, among: ["off"]))
            }
        }
    }
}

extension Format where Value == BackendURL {
    /// The URL of a backend.
    static var backendURL: Format {
        Format(.pattern("^(https?://[^/?#@]+([/?][^#]*)?|unix:/.+)$")) { text throws(FormatError) in
            try BackendURL(parsing: text)
        }
    }
}

extension Format where Value == PublicURL? {
    /// An `http` or `https` URL, or `auto`.
    static var publicURL: Format {
        Format(.pattern("^https?://[^?#@]+$").orWords("auto")) { text throws(FormatError) in
            if text == "auto" { return nil }
            let refusal = FormatError(
                "must be a URL such as https://mcp.example.com/mcp, without query, fragment and user, or auto")
            guard let (scheme, rest) = text.splitScheme(), scheme == "http" || scheme == "https",
                !rest.contains(where: { "?#@".contains($0) })
            else { throw refusal }
            let end = rest.firstIndex(of: "/") ?? rest.endIndex
            let path = String(rest[end...])
            guard let authority = Authority(rest[..<end]), authority.port != 0, path.isEmpty || path.isRequestTarget
            else { throw refusal }
            return PublicURL(
                origin: authority.originText(scheme: scheme), path: path.isEmpty || path == "/" ? nil : path)
        }
    }
}

extension Format where Value == String {
    /// The path of an endpoint.
    static var path: Format {
        Format(.pattern("^/[^?#]*$")) { text throws(FormatError) in
            guard text.hasPrefix("/") else {
                throw FormatError("must begin with /, such as /mcp")
            }
            guard !text.contains("?"), !text.contains("#") else {
                throw FormatError("must be a path only: remove the query (?) or fragment (#)")
            }
            guard text.isRequestTarget else {
                throw FormatError("must have plain URL characters: write others as %XX, a space as %20")
            }
            return text
        }
    }

    /// `scheme://host[:port]` as a browser writes it in `Origin` (RFC 6454 §6.2), or `*`.
    static var origin: Format {
        Format(.pattern("^[^:]+://[^/?#@]+$").orWords("*")) { text throws(FormatError) in
            if text == "*" { return text }
            let refusal = FormatError(
                "must be scheme://host or scheme://host:port, such as https://app.example.com, with no path and no "
                    + "slash at the end, or \"*\" (in quotes) for any")
            guard let (scheme, rest) = text.splitScheme(), let authority = Authority(rest), authority.port != 0 else {
                throw refusal
            }
            return authority.originText(scheme: scheme)
        }
    }

    /// A value of `Host`: `host` or `host:port`.
    static var host: Format {
        Format(.pattern("^[^/?#@]+$")) { text throws(FormatError) in
            guard let authority = Authority(text), authority.port != 0 else {
                throw FormatError(
                    "must be a host or HOST:PORT, such as mcp.example.com, localhost:8808 or \"[::1]:8808\" (in quotes)"
                )
            }
            return authority.bracketedHost.lowercased() + (authority.port.map { ":\($0)" } ?? "")
        }
    }

    /// What `isolation` gives for `client_certificate`: no name of a field, as `header:client_certificate` gives one.
    static var clientCertificate: String { ":client_certificate" }

    /// `authorization`, `client_certificate` or `header:NAME`; gives the field's name in lower case.
    static var isolation: Format {
        Format(.pattern("^(authorization|client_certificate|header:.+)$")) { text throws(FormatError) in
            if text == "authorization" { return text }
            if text == "client_certificate" { return clientCertificate }
            let name = text.dropFirst("header:".count)
            guard text.hasPrefix("header:"), name.isToken else {
                throw FormatError(
                    "must be authorization, client_certificate, or header: and the name of a header, such as "
                        + "header:x-tenant")
            }
            return try FieldRules.fieldName(String(name))
        }
    }
}
