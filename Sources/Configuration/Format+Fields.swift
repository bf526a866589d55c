/// Which header fields an operator may name for the way to the server. The others are Remora's own there, and a second one
/// beside them would be read by some servers and not by others.
enum FieldRules {
    /// Of one connection, or of the framing of one message (RFC 9110 §7.6.1, RFC 9112 §6).
    private static let ofConnection: Set<String> = [
        "connection", "content-length", "expect", "host", "http2-settings", "keep-alive", "proxy-authenticate",
        "proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
    ]
    /// What Remora writes by itself, as MCP wants it.
    private static let ofProtocol: Set<String> = [
        "accept", "accept-encoding", "content-encoding", "content-type", "last-event-id",
    ]
    /// What reaches the server without being named.
    private static let passedAnyway: Set<String> = ["baggage", "traceparent", "tracestate"]
    /// What `headers.add` makes.
    private static let ofOrigin: Set<String> = [
        "forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto",
    ]

    /// A token (RFC 9110 §5.6.2) of the length that is allowed.
    static let shape = ValueShape.pattern("^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$", orWord: true)

    /// The name in lower case.
    static func fieldName(_ text: String) throws(FormatError) -> String {
        guard text.isToken, text.utf8.count <= 128 else {
            throw FormatError("must be the name of a header field, such as x-api-key")
        }
        let name = text.lowercased()
        if ofConnection.contains(name) {
            throw FormatError("must not be \(name), which belongs to one connection: Remora writes its own")
        }
        if ofProtocol.contains(name) || name.hasPrefix("mcp-") && !name.hasPrefix("mcp-param-") {
            throw FormatError("must not be \(name), which belongs to MCP: Remora writes its own")
        }
        if passedAnyway.contains(name) || name.hasPrefix("mcp-param-") {
            throw FormatError("must not be \(name), which goes to the server without being named here")
        }
        if name == "origin" {
            throw FormatError("must not be origin, which Remora checks itself (listen.allowed_origins)")
        }
        if name.hasPrefix("remora-") { throw FormatError("must not be \(name): such names are Remora's own") }
        return name
    }

    static func forwardedName(_ text: String) throws(FormatError) -> String {
        let name = try fieldName(text)
        if name == "authorization" {
            throw FormatError("must not be authorization, which goes to the server without being named here")
        }
        if ofOrigin.contains(name) {
            throw FormatError(
                "must not be \(name), which is another one with each client: name it in headers.add instead")
        }
        return name
    }

    static func setName(_ text: String) throws(FormatError) -> String {
        let name = try fieldName(text)
        if name == "cookie" {
            throw FormatError("must not be cookie: each session has its own, as the server sets them")
        }
        return name
    }
}

extension Format where Value == String {
    /// The name of a field of clients that goes on to the server, in lower case.
    static var forwardedField: Format {
        Format(FieldRules.shape) { text throws(FormatError) in try FieldRules.forwardedName(text) }
    }

    /// The name of a field that goes to the server with a value of the operator's, in lower case.
    static var setField: Format {
        Format(FieldRules.shape) { text throws(FormatError) in try FieldRules.setName(text) }
    }

    /// Anything: what is wrong with it is said without showing it.
    static var any: Format { Format(.text) { text throws(FormatError) in text } }

    /// The path of a file with the value of a field; gives the value, without the line break at its end.
    static var fieldFile: Format {
        Format(.file) { path throws(FormatError) in
            let file: SmallFile
            do throws(SmallFile.Flaw) {
                file = try SmallFile(path, maxSize: 8192)
            } catch {
                switch error {
                case .unreadable(let reason): throw FormatError("must be a file that can be read (\(reason))")
                case .notPlain: throw FormatError("must be a plain file with the value alone")
                case .tooLarge: throw FormatError("must be a file of at most 8192 bytes, with the value alone")
                }
            }
            guard file.mode & 0o007 == 0 else {
                throw FormatError(
                    "must be a file that not everybody can read or write: chmod 600, or defaultMode: 0400 of a Secret "
                        + "in Kubernetes")
            }
            var bytes = file.bytes[...]
            if bytes.last == UInt8(ascii: "\n") { bytes = bytes.dropLast() }
            if bytes.last == UInt8(ascii: "\r") { bytes = bytes.dropLast() }
            guard let text = String(validating: bytes, as: UTF8.self) else {
                throw FormatError("must be a file in UTF-8")
            }
            if text.isEmpty { throw FormatError("must be a file with the value alone: it is empty") }
            guard text.isFieldValue else {
                throw FormatError(
                    "must be a file with the value alone, in one line, without control characters and without spaces "
                        + "around it")
            }
            return text
        }
    }
}

extension String {
    /// Whether this can be the value of a header field (RFC 9110 §5.5).
    var isFieldValue: Bool {
        let isSpace: (UInt8) -> Bool = { $0 == 0x20 || $0 == 0x09 }
        guard let first = utf8.first, let last = utf8.last, !isSpace(first), !isSpace(last) else { return false }
        return utf8.allSatisfy { $0 == 0x09 || $0 >= 0x20 && $0 != 0x7F }
    }
}
