internal import CLibevent
internal import Glibc

/// Finds the addresses of a host by libevent's own DNS client, so that a slow name server holds up nothing else.
package final class Resolver {
    /// How long an answer is used. The resolver does not tell the record's own time to live; this is what clients in
    /// front of services that move (a rollout, a failover) commonly use.
    private static let lifetime: Duration = .seconds(30)

    private let loop: Loop
    private let host: String
    private let port: UInt16
    private var addresses: [SocketAddress]
    private var expiry: Instant?
    private var query: Query?

    package init(host: String, port: UInt16, on loop: Loop) {
        self.loop = loop
        self.host = host
        self.port = port
        // Names of this machine need no server; some programs listen on one of the two only.
        let hosts = host == "localhost" ? ["127.0.0.1", "::1"] : [host]
        addresses = hosts.compactMap { SocketAddress(host: $0, port: port) }
    }

    /// For an address that is known.
    package init(_ address: SocketAddress, on loop: Loop) {
        self.loop = loop
        host = "\(address)"
        port = address.port
        addresses = [address]
    }

    /// The addresses, the one to try first at the start; never empty.
    ///
    /// - Throws: what the name servers said, and that they said nothing until `end`.
    package func resolveName(until end: Instant) async throws(SystemError) -> [SocketAddress] {
        if !addresses.isEmpty, expiry.map({ loop.now < $0 }) ?? true { return addresses }
        let query = query ?? Query(host: host, port: port, on: loop)
        self.query = query
        do throws(SystemError) {
            let found = try await query.waitForAddresses(until: end)
            if self.query === query {
                self.query = nil
                addresses = found
                expiry = loop.now + Resolver.lifetime
            }
            return found
        } catch {
            if self.query === query, query.isAnswered { self.query = nil }
            throw error
        }
    }
}

/// One question to the name servers, and who waits for the answer.
private final class Query {
    /// Each may have to be tried in turn, within one time for all.
    private static let maxAddresses = 16

    private let loop: Loop
    private let done = Wakeup()
    private var outcome: Result<[SocketAddress], SystemError>?
    private let call: String

    init(host: String, port: UInt16, on loop: Loop) {
        self.loop = loop
        call = "looking up \(host)"
        var hints = unsafe addrinfo()
        unsafe hints.ai_family = AF_UNSPEC
        unsafe hints.ai_socktype = streamSocket
        // Released by the callback, which comes exactly once, maybe before this call returns.
        guard let servers = unsafe loop.nameServers else {
            outcome = .failure(
                SystemError(call, reason: "the system names no name server (is there one in /etc/resolv.conf?)"))
            return
        }
        let context = unsafe Unmanaged.passRetained(self).toOpaque()
        _ = unsafe evdns_getaddrinfo(
            servers, host, String(port), &hints,
            { code, found, context in
                let query = unsafe Unmanaged<Query>.fromOpaque(context!).takeRetainedValue()
                query.loop.runTurn { unsafe query.queryEnded(code, found) }
            }, context)
    }

    var isAnswered: Bool { outcome != nil }

    func waitForAddresses(until end: Instant) async throws(SystemError) -> [SocketAddress] {
        await done.wait(while: { outcome == nil }, until: end, on: loop)
        guard let outcome else { throw SystemError(call, code: ETIMEDOUT) }
        return try outcome.get()
    }

    private func queryEnded(_ code: Int32, _ found: UnsafeMutablePointer<addrinfo>?) {
        defer { if unsafe found != nil { unsafe evutil_freeaddrinfo(found) } }
        var addresses: [SocketAddress] = []
        var next = unsafe found
        while let entry = unsafe next, addresses.count < Query.maxAddresses {
            let bytes = unsafe UnsafeRawBufferPointer(
                start: entry.pointee.ai_addr, count: Int(entry.pointee.ai_addrlen))
            unsafe addresses.append(SocketAddress(bytes: [UInt8](bytes)))
            unsafe next = entry.pointee.ai_next
        }
        if code == 0, !addresses.isEmpty {
            outcome = .success(addresses)
        } else {
            let reason = unsafe evutil_gai_strerror(code).map { unsafe String(cString: $0) }
            outcome = .failure(SystemError(call, reason: reason ?? "no address"))
        }
        done.signal()
    }
}
