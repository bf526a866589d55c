/// Where a store is: `redis://HOST:PORT/DATABASE`, `rediss://` with TLS, or `unix:PATH`.
package struct StoreURL: Sendable, Equatable {
    /// A host name, or a numeric address; an IPv6 address without its brackets.
    package var host: String
    package var port: UInt16
    /// What `SELECT` gets.
    package var database: Int
    /// Whether it is `rediss`.
    package var isSecure: Bool
    /// The path of the Unix socket that it is reached by, whatever ``host`` and ``port`` are.
    package var socketPath: String?

    /// What may be shown.
    package var name: String {
        if let socketPath { return "unix:\(socketPath)" }
        let host = host.contains(":") ? "[\(host)]" : host
        return "\(isSecure ? "rediss" : "redis")://\(host):\(port)/\(database)"
    }
}

extension StoreURL {
    private static let usualPort: UInt16 = 6379
    /// Stores have 16 unless they are told otherwise.
    private static let maxDatabase = 1_000_000

    init(parsing text: String) throws(FormatError) {
        if text.hasPrefix("unix:") {
            guard let path = SocketPath(text.dropFirst("unix:".count)) else { throw SocketPath.refusal }
            self.init(host: "localhost", port: StoreURL.usualPort, database: 0, isSecure: false, socketPath: path.text)
            return
        }
        let refusal = FormatError(
            "must be off, redis://HOST:PORT/DATABASE, rediss:// for TLS, or unix: and the path of a socket, such as "
                + "redis://127.0.0.1:6379/0")
        guard let (scheme, rest) = text.splitScheme(), scheme == "redis" || scheme == "rediss",
            !rest.contains(where: { "?#@".contains($0) })
        else { throw refusal }
        let end = rest.firstIndex(of: "/") ?? rest.endIndex
        guard let authority = Authority(rest[..<end]), authority.port != 0 else { throw refusal }
        let number = rest[end...].dropFirst()
        guard number.utf8.allSatisfy(\.isDigit), let database = number.isEmpty ? 0 : Int(number),
            database <= StoreURL.maxDatabase
        else { throw refusal }
        self.init(
            host: authority.host, port: authority.port ?? StoreURL.usualPort, database: database,
            isSecure: scheme == "rediss")
    }
}
