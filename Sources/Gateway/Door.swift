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
        return head.fields.count(of: "origin") == 1 && origins.contains { Door.reads(origin.bytes, as: $0) }
    }

    func allowsHost(of head: HTTPRequestHead) -> Bool {
        if !isLocalOnly, hosts.isEmpty { return true }
        guard let authority = head.authority else {
            // HTTP/1.0 has no `Host`; no browser speaks it.
            return head.minorVersion == 0
        }
        let host = authority.bytes
        let name = Door.withoutPort(host)
        if isLocalOnly { return Door.isLoopbackName(name) }
        return hosts.contains { Door.reads(host, as: $0) || Door.reads(name, as: $0) }
    }

    /// Whether a name is `lowercased`, whatever its case.
    private static func reads(_ name: ArraySlice<UInt8>, as lowercased: [UInt8]) -> Bool {
        guard name.count == lowercased.count else { return false }
        for (offset, expected) in lowercased.enumerated() {
            let byte = name[name.startIndex + offset]
            let folded = (0x41...0x5A).contains(byte) ? byte | 0x20 : byte
            if folded != expected { return false }
        }
        return true
    }

    private static func withoutPort(_ host: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        guard let colon = host.lastIndex(of: UInt8(ascii: ":")), host[(colon + 1)...].allSatisfy(isDigit) else {
            return host
        }
        return host[..<colon]
    }

    private static func isLoopbackName(_ name: ArraySlice<UInt8>) -> Bool {
        if reads(name, as: localhost) || reads(name, as: loopback6) { return true }
        // Any address of 127.0.0.0/8. A name cannot look like one: its last label is not all digits.
        return name.starts(with: loopback4) && name.allSatisfy { isDigit($0) || $0 == UInt8(ascii: ".") }
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

    private static let localhost = Array("localhost".utf8)
    private static let loopback6 = Array("[::1]".utf8)
    private static let loopback4 = Array("127.".utf8)
}
