package import HTTPWire

/// Who may knock: the defence against DNS rebinding (2026-07-28, basic/transports/streamable-http, "Security &
/// Endpoint"). A browser that was lured to a hostile page names that page in `Origin`, and in `Host` a name that the
/// attacker made point here.
package final class Door: Sendable {
    private let origins: [[UInt8]]
    private let allowsAnyOrigin: Bool
    private let hosts: [[UInt8]]
    private let isLocalOnly: Bool
    private let scheme: [UInt8]
    private let publicOrigin: [UInt8]?

    /// - Parameters:
    ///   - allowedOrigins: origins beside the endpoint's own, or `*` for any.
    ///   - allowedHosts: names with or without a port. Empty means the names of this machine's loopback interface when
    ///     Remora listens there only, and any name otherwise.
    ///   - isLoopback: whether Remora listens on the loopback interface only.
    ///   - scheme: by which clients reach Remora.
    ///   - publicOrigin: where clients reach it through a proxy.
    package init(
        allowedOrigins: [String], allowedHosts: [String], isLoopback: Bool, scheme: String = "http",
        publicOrigin: String? = nil
    ) {
        self.scheme = Array("\(scheme)://".utf8)
        self.publicOrigin = publicOrigin.map { Array($0.lowercased().utf8) }
        origins = allowedOrigins.map { Array($0.lowercased().utf8) }
        allowsAnyOrigin = allowedOrigins.contains("*")
        hosts = allowedHosts.map { Array($0.lowercased().utf8) }
        isLocalOnly = allowedHosts.isEmpty && isLoopback
    }

    /// Why a request may not come in; nil when it may.
    func originRefusal(of head: HTTPRequestHead) -> Refusal? {
        if !allowsOrigin(of: head) { return .originNotAllowed }
        return allowsHost(of: head) ? nil : .hostNotAllowed
    }

    /// Programs that are no browsers send no `Origin`, and need none.
    package func allowsOrigin(of head: HTTPRequestHead) -> Bool {
        switch head.fields.single("origin") {
        case .missing: true
        case .repeated: allowsAnyOrigin
        case .value(let origin):
            allowsAnyOrigin || origins.contains { origin.equalsIgnoringCase($0) } || isOwn(origin, of: head)
        }
    }

    /// Whether it is the endpoint's own origin: a page that has it came from here. A name that is allowed because any is may
    /// be one that an attacker made point here, and then says nothing.
    private func isOwn(_ origin: HTTPFieldValue, of head: HTTPRequestHead) -> Bool {
        if let publicOrigin, origin.equalsIgnoringCase(publicOrigin) { return true }
        guard let host = head.authority, isLocalOnly || !hosts.isEmpty || Door.isLoopbackName(host.withoutPort),
            allowsHost(of: head), origin.startsIgnoringCase(with: scheme)
        else { return false }
        let named = origin.bytes.dropFirst(scheme.count)
        return named.count == host.bytes.count
            && zip(named, host.bytes).allSatisfy { $0.lowercasedASCII == $1.lowercasedASCII }
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

    /// A name that only this machine can have meant: `localhost`, `[::1]`, or an address of 127.0.0.0/8. No other name looks like
    /// an address, because the last label of a name is not all digits.
    private static func isLoopbackName(_ name: HTTPFieldValue) -> Bool {
        if name.equalsIgnoringCase("localhost") || name.equals("[::1]") { return true }
        return name.startsIgnoringCase(with: loopback)
            && name.bytes.allSatisfy { (0x30...0x39).contains($0) || $0 == UInt8(ascii: ".") }
    }

    private static let loopback = Array("127.".utf8)
}
