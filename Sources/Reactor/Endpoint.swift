/// Where a server is reached.
package enum Endpoint: Sendable, Equatable {
    /// A name, or a numeric address without brackets.
    case host(String, port: UInt16)
    /// The path of a Unix socket.
    case unix(path: String)

    /// Finds its addresses.
    package func makeResolver(on loop: Loop) -> Resolver {
        switch self {
        case .host(let host, let port): Resolver(host: host, port: port, on: loop)
        case .unix(let path): Resolver(SocketAddress(unixPath: path), on: loop)
        }
    }
}
