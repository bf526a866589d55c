package import HTTPWire

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

    /// Why a request may not come in; nil when it may.
    func refusal(of head: HTTPRequestHead) -> Refusal? {
        if !allowsOrigin(of: head) { return .originNotAllowed }
        return allowsHost(of: head) ? nil : .hostNotAllowed
    }

    /// Programs that are no browsers send no `Origin`, and need none.
    package func allowsOrigin(of head: HTTPRequestHead) -> Bool {
        switch head.fields.single("origin") {
        case .missing: true
        case .repeated: allowsAnyOrigin
        case .value(let origin): allowsAnyOrigin || origins.contains { origin.equalsIgnoringCase($0) }
        }
    }

    package func allowsHost(of head: HTTPRequestHead) -> Bool {
        if !isLocalOnly, hosts.isEmpty { return true }
        guard let host = head.authority else {
            // HTTP/1.0 has no `Host`; no browser speaks it.
            return head.minorVersion == 0
        }
        let name = host.withoutPort
        if isLocalOnly { return Door.isLoopbackName(name) }
        return hosts.contains { host.equalsIgnoringCase($0) || name.equalsIgnoringCase($0) }
    }

    /// A name that only this machine can have meant: `localhost`, `[::1]`, or an address of 127.0.0.0/8. No other name
    /// looks like such an address, because the last label of a name is not all digits.
    private static func isLoopbackName(_ name: HTTPFieldValue) -> Bool {
        if name.equalsIgnoringCase("localhost") || name.equals("[::1]") { return true }
        return name.startsIgnoringCase(with: loopback)
            && name.bytes.allSatisfy { (0x30...0x39).contains($0) || $0 == UInt8(ascii: ".") }
    }

    private static let loopback = Array("127.".utf8)
}
