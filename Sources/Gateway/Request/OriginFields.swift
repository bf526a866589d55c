import HTTPWire

/// The fields by which the server is told where a request came from (RFC 7239, and what was there before it).
///
/// What names clients is continued, since proxies before Remora may have begun it; scheme and host are Remora's own word,
/// whatever the client sent.
package struct OriginFields: Sendable {
    package enum Field: Sendable, CaseIterable {
        case forwardedFor, forwardedProto, forwardedHost, forwarded

        var name: StaticString {
            switch self {
            case .forwardedFor: "x-forwarded-for"
            case .forwardedProto: "x-forwarded-proto"
            case .forwardedHost: "x-forwarded-host"
            case .forwarded: "forwarded"
            }
        }
    }

    private let fields: [Field]
    private let scheme: [UInt8]
    /// Nil: as the client says in `Host`.
    private let host: [UInt8]?

    package static let none = OriginFields([], scheme: "http", publicOrigin: nil)

    /// - Parameters:
    ///   - scheme: by which clients reach Remora, where `publicOrigin` does not say it.
    ///   - publicOrigin: `scheme://host[:port]` of the endpoint as clients know it.
    package init(_ fields: [Field], scheme: String, publicOrigin: String?) {
        self.fields = fields
        guard let publicOrigin, let colon = publicOrigin.firstIndex(of: ":") else {
            self.scheme = Array(scheme.utf8)
            host = nil
            return
        }
        self.scheme = Array(publicOrigin[..<colon].utf8)
        host = Array(publicOrigin[colon...].dropFirst(3).utf8)
    }

    var isEmpty: Bool { fields.isEmpty }

    var names: [String] { fields.map { "\($0.name)" } }

    /// - Parameter client: its address in digits, without a port and brackets; nil where it has none.
    func fieldLines(of head: HTTPRequestHead, from client: String?) -> [(name: StaticString, value: [UInt8])] {
        fields.compactMap { field in
            fieldValue(of: field, head, client).map { (name: field.name, value: $0) }
        }
    }

    private func fieldValue(of field: Field, _ head: HTTPRequestHead, _ client: String?) -> [UInt8]? {
        switch field {
        case .forwardedFor: continuedValue(field, head, client.map { Array($0.utf8) })
        case .forwardedProto: scheme
        case .forwardedHost: clientHost(of: head)
        case .forwarded: continuedValue(field, head, forwardedElement(of: head, client))
        }
    }

    /// What came, and behind it what is known here (RFC 9110 §5.3).
    private func continuedValue(_ field: Field, _ head: HTTPRequestHead, _ own: [UInt8]?) -> [UInt8]? {
        let came = head.fields.lines(named: Array("\(field.name)".utf8)).map { Array($0.value.bytes) }
        let parts = (came + [own].compactMap(\.self)).filter { !$0.isEmpty }
        return parts.isEmpty ? nil : Array(parts.joined(separator: ", ".utf8))
    }

    /// RFC 7239 §4; an IPv6 address is in brackets and quotes (§6).
    private func forwardedElement(of head: HTTPRequestHead, _ client: String?) -> [UInt8] {
        let node = client.map { $0.contains(":") ? "\"[\($0)]\"" : $0 } ?? "unknown"
        var text = Array("for=\(node)".utf8)
        if let host = clientHost(of: head) { text += Array(";host=\"".utf8) + host + Array("\"".utf8) }
        return text + Array(";proto=".utf8) + scheme
    }

    /// Nil where the client did not say it, or in characters that no host has.
    private func clientHost(of head: HTTPRequestHead) -> [UInt8]? {
        if let host { return host }
        guard let host = head.authority, host.isHost else { return nil }
        return Array(host.bytes)
    }
}

extension HTTPFieldValue {
    /// Whether it has the characters of a host and port alone.
    var isHost: Bool {
        !bytes.isEmpty
            && bytes.allSatisfy {
                (0x30...0x39).contains($0) || (0x61...0x7A).contains($0 | 0x20) || "-._:[]".utf8.contains($0)
            }
    }
}
