extension UInt8 {
    var isDigit: Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(self) }

    var isHexDigit: Bool {
        isDigit || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(self | 0x20)
    }

    var isAlphabetic: Bool { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(self | 0x20) }

    var isAlphanumeric: Bool { isDigit || isAlphabetic }
}

extension StringProtocol {
    /// Whether this can stand on a request line as path and query: the characters of RFC 3986 §3.3 and §3.4.
    var isRequestTarget: Bool {
        let bytes = Array(utf8)
        return bytes.indices.allSatisfy { index in
            guard bytes[index] == UInt8(ascii: "%") else {
                return bytes[index].isAlphanumeric || "-._~!$&'()*+,;=:@/?".utf8.contains(bytes[index])
            }
            return index + 2 < bytes.count && bytes[index + 1].isHexDigit && bytes[index + 2].isHexDigit
        }
    }

    /// The scheme of a URL in lower case and what follows `://` (RFC 3986 §3.1); nil when there is none.
    func splitScheme() -> (scheme: String, rest: SubSequence)? {
        guard let colon = utf8.firstIndex(of: UInt8(ascii: ":")), utf8[colon...].starts(with: "://".utf8) else {
            return nil
        }
        let scheme = self[..<colon]
        guard let first = scheme.utf8.first, first.isAlphabetic,
            scheme.utf8.allSatisfy({ $0.isAlphanumeric || "+-.".utf8.contains($0) })
        else { return nil }
        return (scheme.lowercased(), self[utf8.index(colon, offsetBy: 3)...])
    }

    /// Whether this is a token, as field names are (RFC 9110 §5.6.2).
    var isToken: Bool {
        !isEmpty && utf8.allSatisfy { $0.isAlphanumeric || "!#$%&'*+-.^_`|~".utf8.contains($0) }
    }

    /// Whether this can be the name of an environment variable (POSIX.1-2017 §8.1, and lower case), at most
    /// 128 bytes long so that a message can have it.
    var isVariableName: Bool {
        guard let first = utf8.first, !first.isDigit, utf8.count <= 128 else { return false }
        return utf8.allSatisfy { $0.isAlphanumeric || $0 == UInt8(ascii: "_") }
    }
}
