import Glibc

/// `host` or `host:port` (RFC 3986 §3.2), without a user.
struct Authority: Equatable {
    enum Kind {
        case ipv4, ipv6, name
    }

    let kind: Kind
    /// As it was written; an IPv6 address without its brackets.
    let host: String
    /// Nil when none was written.
    let port: UInt16?

    /// The host as it stands in a URL or a `Host` field.
    var bracketedHost: String { kind == .ipv6 ? "[\(host)]" : host }

    /// The origin that it makes with a scheme, without a default port, which a browser leaves out too.
    func originText(scheme: String) -> String {
        let hasDefaultPort = (scheme == "http" && port == 80) || (scheme == "https" && port == 443)
        let port = hasDefaultPort ? "" : port.map { ":\($0)" } ?? ""
        return "\(scheme)://\(bracketedHost.lowercased())\(port)"
    }

    /// Nil when `text` is anything else.
    init?(_ text: some StringProtocol) {
        let hostText: String
        let rest: String
        if text.hasPrefix("["), let bracket = text.firstIndex(of: "]") {
            hostText = String(text[text.index(after: text.startIndex)..<bracket])
            rest = String(text[text.index(after: bracket)...])
            guard Self.isIPv6(hostText) else { return nil }
            kind = .ipv6
        } else {
            let colon = text.firstIndex(of: ":") ?? text.endIndex
            hostText = String(text[..<colon])
            rest = String(text[colon...])
            if Self.isIPv4(hostText) {
                kind = .ipv4
            } else if Self.isName(hostText) {
                kind = .name
            } else {
                return nil
            }
        }
        host = hostText
        if rest.isEmpty {
            port = nil
        } else {
            let digits = rest.dropFirst()
            // `UInt16.init` would take a sign.
            guard rest.hasPrefix(":"), digits.utf8.allSatisfy(\.isDigit), let number = UInt16(digits) else {
                return nil
            }
            port = number
        }
    }

    private static func isIPv4(_ text: String) -> Bool {
        // Only these characters: a NUL would end the text for C before its end.
        guard text.utf8.allSatisfy({ $0.isDigit || $0 == UInt8(ascii: ".") }) else { return false }
        var address = in_addr()
        // `inet_pton` reads the terminated text and writes the one `in_addr` it is given.
        return unsafe inet_pton(AF_INET, text, &address) == 1
    }

    private static func isIPv6(_ text: String) -> Bool {
        guard text.utf8.allSatisfy({ $0.isHexDigit || $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: ".") }) else {
            return false
        }
        var address = in6_addr()
        return unsafe inet_pton(AF_INET6, text, &address) == 1
    }

    /// A name of RFC 1123 §2.1, with the underscores that container names have, and a dot at the end if need be. One that
    /// ends in a number is a mistyped IPv4 address.
    private static func isName(_ text: String) -> Bool {
        let name = text.hasSuffix(".") ? text.dropLast() : text[...]
        let labels = name.split(separator: ".", omittingEmptySubsequences: false)
        guard name.utf8.count <= 253, let last = labels.last, !last.utf8.allSatisfy(\.isDigit) else { return false }
        return labels.allSatisfy { label in
            (1...63).contains(label.utf8.count)
                && label.utf8.allSatisfy { $0.isAlphanumeric || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_") }
        }
    }
}
