import HTTPWire

/// Who may knock: the defence against DNS rebinding (2026-07-28, basic/transports/streamable-http, "Security &
/// Endpoint"). A browser that was lured to a hostile page names that page in `Origin`, and in `Host` a name that the
/// attacker made point here.
package struct Door: Sendable {
    private let origins: [String]
    private let allowsAnyOrigin: Bool
    private let hosts: [String]
    private let isLocalOnly: Bool

    /// - Parameters:
    ///   - allowedOrigins: origins, or `*` for any.
    ///   - allowedHosts: names with or without a port. Empty means the names of this machine's loopback interface when
    ///     Remora listens there only, and any name otherwise.
    ///   - isLoopback: whether Remora listens on the loopback interface only.
    package init(allowedOrigins: [String], allowedHosts: [String], isLoopback: Bool) {
        origins = allowedOrigins.map { $0.lowercased() }
        allowsAnyOrigin = allowedOrigins.contains("*")
        hosts = allowedHosts.map { $0.lowercased() }
        isLocalOnly = allowedHosts.isEmpty && isLoopback
    }

    /// Programs that are no browsers send no `Origin`, and need none.
    func allowsOrigin(of head: HTTPRequestHead) -> Bool {
        guard let origin = head.fields.first("origin"), !allowsAnyOrigin else { return true }
        return head.fields.count(of: "origin") == 1 && origins.contains(origin.string.lowercased())
    }

    func allowsHost(of head: HTTPRequestHead) -> Bool {
        if !isLocalOnly, hosts.isEmpty { return true }
        guard let host = head.authority?.string.lowercased() else {
            // HTTP/1.0 has no `Host`; no browser speaks it.
            return head.minorVersion == 0
        }
        let name = Door.withoutPort(host)
        if isLocalOnly { return Door.isLoopbackName(name) }
        return hosts.contains(host) || hosts.contains(name)
    }

    private static func withoutPort(_ host: String) -> String {
        guard let colon = host.lastIndex(of: ":"), host[colon...].dropFirst().allSatisfy(\.isNumber) else {
            return host
        }
        return String(host[..<colon])
    }

    private static func isLoopbackName(_ name: String) -> Bool {
        if name == "localhost" || name == "[::1]" { return true }
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
    }
}
