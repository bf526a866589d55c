internal import Glibc

/// An IPv4 or IPv6 address with a port, or the path of a Unix socket.
package struct SocketAddress: Sendable, Hashable, CustomStringConvertible {
    /// The bytes of a `sockaddr_in`, `sockaddr_in6` or `sockaddr_un`.
    let bytes: [UInt8]

    init(bytes: [UInt8]) { self.bytes = bytes }

    /// Nil unless `host` is a numeric address (IPv6 without brackets) or `localhost`.
    package init?(host: String, port: UInt16) {
        if let four = SocketAddress.ipv4(host == "localhost" ? "127.0.0.1" : host, port: port) {
            self = four
        } else if let six = SocketAddress.ipv6(host, port: port) {
            self = six
        } else {
            return nil
        }
    }

    /// Bytes that a path may have: what `sun_path` holds, with a zero behind it.
    package static let maxPath = 107

    /// - Parameter path: of at most ``maxPath`` bytes, none of them zero.
    package init(unixPath path: String) {
        let name = Array(path.utf8)
        // A path of the configuration, which has looked at its length and at its characters.
        precondition(!name.isEmpty && name.count <= SocketAddress.maxPath && !name.contains(0), "no path of a socket")
        let family = sa_family_t(AF_UNIX)
        bytes = unsafe withUnsafeBytes(of: family) { unsafe [UInt8]($0) } + name + [0]
    }

    private static func ipv4(_ host: String, port: UInt16) -> SocketAddress? {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        guard unsafe inet_pton(AF_INET, host, &address.sin_addr) == 1 else { return nil }
        return SocketAddress(bytes: unsafe withUnsafeBytes(of: address) { unsafe [UInt8]($0) })
    }

    private static func ipv6(_ host: String, port: UInt16) -> SocketAddress? {
        var address = sockaddr_in6()
        address.sin6_family = sa_family_t(AF_INET6)
        address.sin6_port = port.bigEndian
        guard unsafe inet_pton(AF_INET6, host, &address.sin6_addr) == 1 else { return nil }
        return SocketAddress(bytes: unsafe withUnsafeBytes(of: address) { unsafe [UInt8]($0) })
    }

    /// The address that `fd` is bound to; nil if it is bound to none that has a name.
    init?(boundTo fd: Int32) {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let failure = unsafe withUnsafeMutableBytes(of: &storage) {
            unsafe getsockname(fd, $0.baseAddress!.assumingMemoryBound(to: sockaddr.self), &length)
        }
        guard failure == 0 else { return nil }
        bytes = unsafe withUnsafeBytes(of: storage) { unsafe [UInt8]($0.prefix(Int(length))) }
        guard family == AF_INET || family == AF_INET6 || isUnix && bytes.count > 3 else { return nil }
    }

    /// The address at the other end of a connection; nil where it has no name.
    init?(peerOf fd: Int32) {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let failure = unsafe withUnsafeMutableBytes(of: &storage) {
            unsafe getpeername(fd, $0.baseAddress!.assumingMemoryBound(to: sockaddr.self), &length)
        }
        guard failure == 0 else { return nil }
        bytes = unsafe withUnsafeBytes(of: storage) { unsafe [UInt8]($0.prefix(Int(length))) }
        guard family == AF_INET || family == AF_INET6 else { return nil }
    }

    /// Whether it is an address of the loopback interface (127.0.0.0/8 or ::1).
    package var isLoopback: Bool {
        switch family {
        case AF_INET: bytes[4] == 127
        case AF_INET6: bytes[8..<24].elementsEqual([UInt8](repeating: 0, count: 15) + [1])
        default: false
        }
    }

    /// Whether it is the path of a Unix socket.
    package var isUnix: Bool { family == AF_UNIX }

    /// The path of a Unix socket; nil for others.
    var path: String? {
        isUnix ? String(decoding: bytes.dropFirst(2).prefix { $0 != 0 }, as: UTF8.self) : nil
    }

    /// 0 for a Unix socket.
    package var port: UInt16 { isUnix ? 0 : UInt16(bytes[2]) << 8 | UInt16(bytes[3]) }

    /// `127.0.0.1:80`, `[::1]:80` or `unix:/run/remora.sock`.
    package var description: String {
        if let path { return "unix:\(path)" }
        return family == AF_INET ? "\(digits):\(port)" : "[\(digits)]:\(port)"
    }

    /// The address in digits, without a port and brackets; an IPv4 address in its own form if a socket for both has it in IPv6.
    /// `nil` for a Unix socket.
    package var host: String? {
        if isUnix { return nil }
        let digits = digits
        return digits.hasPrefix("::ffff:") && digits.contains(".") ? String(digits.dropFirst(7)) : digits
    }

    private var digits: String {
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        unsafe bytes.withUnsafeBytes { raw in
            let address = unsafe raw.baseAddress! + (family == AF_INET ? 4 : 8)
            _ = unsafe inet_ntop(family, address, &text, socklen_t(INET6_ADDRSTRLEN))
        }
        return String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    var family: Int32 { unsafe bytes.withUnsafeBytes { Int32(unsafe $0.loadUnaligned(as: sa_family_t.self)) } }

    func withSockaddr<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        unsafe bytes.withUnsafeBytes {
            unsafe body($0.baseAddress!.assumingMemoryBound(to: sockaddr.self), socklen_t($0.count))
        }
    }
}
