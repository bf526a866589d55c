import HTTPWire

/// Who may knock: the defence against DNS rebinding (2026-07-28, basic/transports/streamable-http, "Security &
/// Endpoint"). A browser that was lured to a hostile page names that page in `Origin`, and in `Host` a name that the
/// attacker made point here.
package struct Door: Sendable {
    private let origins: [[UInt8]]
    private let allowsAnyOrigin: Bool
    private let hosts: [[UInt8]]
    private let isLocalOnly: Bool

    /// - Parameters:
    ///   - allowedOrigins: origins, or `*` for any.
    ///   - allowedHosts: names with or without a port. Empty means the names of this machine's loopback interface when
    ///     Remora listens there only, and any name otherwise.
    ///   - isLoopback: whether Remora listens on the loopback interface only.
    package init(allowedOrigins: [String], allowedHosts: [String], isLoopback: Bool) {
        origins = allowedOrigins.map { Array($0.lowercased().utf8) }
        allowsAnyOrigin = allowedOrigins.contains("*")
        hosts = allowedHosts.map { Array($0.lowercased().utf8) }
        isLocalOnly = allowedHosts.isEmpty && isLoopback
    }

    /// Programs that are no browsers send no `Origin`, and need none.
    func allowsOrigin(of head: HTTPRequestHead) -> Bool {
        guard let origin = head.fields.first("origin"), !allowsAnyOrigin else { return true }
        return head.fields.count(of: "origin") == 1 && origins.contains(Door.lowercased(origin))
    }

    func allowsHost(of head: HTTPRequestHead) -> Bool {
        if !isLocalOnly, hosts.isEmpty { return true }
        guard let authority = head.authority else {
            // HTTP/1.0 has no `Host`; no browser speaks it.
            return head.minorVersion == 0
        }
        let host = Door.lowercased(authority)
        let name = Door.withoutPort(host)
        if isLocalOnly { return Door.isLoopbackName(name) }
        return hosts.contains { $0[...] == host[...] || $0[...] == name }
    }

    private static func lowercased(_ value: HTTPFieldValue) -> [UInt8] {
        value.bytes.map { (0x41...0x5A).contains($0) ? $0 | 0x20 : $0 }
    }

    private static func withoutPort(_ host: [UInt8]) -> ArraySlice<UInt8> {
        guard let colon = host.lastIndex(of: UInt8(ascii: ":")), host[(colon + 1)...].allSatisfy(isDigit) else {
            return host[...]
        }
        return host[..<colon]
    }

    private static func isLoopbackName(_ name: ArraySlice<UInt8>) -> Bool {
        if name == localhost || name == loopback6 { return true }
        // Any address of 127.0.0.0/8. A name cannot look like one: its last label is not all digits.
        return name.starts(with: loopback4) && name.allSatisfy { isDigit($0) || $0 == UInt8(ascii: ".") }
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

    private static let localhost = Array("localhost".utf8)[...]
    private static let loopback6 = Array("[::1]".utf8)[...]
    private static let loopback4 = Array("127.".utf8)[...]
}
