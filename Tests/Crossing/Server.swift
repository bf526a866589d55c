import Glibc

/// A legacy server over Streamable HTTP that answers as each call asks for.
final class Server: Link {
    var chance: Chance
    /// Who opened each session.
    private var owners: [String: String] = [:]

    init(seed: UInt64, on poller: Poller) {
        chance = Chance(seed: seed)
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard listener >= 0, Link.withLoopback(0, { bind(listener, $0, $1) }) == 0, listen(listener, 4096) == 0 else {
            fatalError("cannot listen")
        }
        super.init(listener, on: poller)
    }

    var port: UInt16 {
        var address = sockaddr_in()
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        withUnsafeMutablePointer(to: &address) { pointer in
            _ = pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &size) }
        }
        return UInt16(bigEndian: address.sin_port)
    }

    override func read() {
        while case let descriptor = accept(descriptor, nil, nil), descriptor >= 0 {
            _ = ServerConnection(descriptor, of: self)
        }
    }

    func open(for credential: String) -> String {
        let name = "session-\(owners.count)"
        owners[name] = credential
        return name
    }

    func owner(of session: String) -> String { owners[session] ?? "nobody" }
}
