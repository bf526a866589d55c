internal import COpenSSL

/// What a server gave to spare the next handshakes with it ("session resumption"; RFC 8446 §2.2, RFC 5077).
///
/// A ticket stands for the verification that was done when it was given: those of one server and context never serve
/// another. It belongs to one loop.
@safe package final class TLSTickets {
    /// Servers give two with each handshake; more than this many connections at once make handshakes of their own.
    private static let limit = 8
    /// A ticket spares the look at a certificate, and brings new tickets: after this long it is looked at again.
    private static let lifetime: Duration = .seconds(3600)

    /// The newest last. Each is owned.
    private var tickets: [OpaquePointer] = unsafe []

    /// When the certificate was verified last.
    private var verified = UnixTime(seconds: 0)

    package init() {}

    deinit { dropTicket() }

    package var count: Int { unsafe tickets.count }

    /// A handshake has ended in which the certificate was verified.
    func noteVerification(at now: UnixTime = .now) { verified = now }

    /// Takes over the reference.
    func keepTicket(_ ticket: OpaquePointer) {
        if unsafe tickets.count == TLSTickets.limit { unsafe SSL_SESSION_free(tickets.removeFirst()) }
        unsafe tickets.append(ticket)
    }

    /// Hands out the newest, if there is one. One of TLS 1.3 is not used again: an observer of the network could tell that two
    /// connections are of one client (RFC 8446 §C.4).
    func useTicket(at now: UnixTime = .now, _ body: (OpaquePointer) -> Void) {
        if verified + TLSTickets.lifetime < now { dropTicket() }
        guard let ticket = unsafe takeNewest() else { return }
        unsafe body(ticket)
        if unsafe SSL_SESSION_get_protocol_version(ticket) < TLS1_3_VERSION {
            unsafe tickets.append(ticket)
        } else {
            unsafe SSL_SESSION_free(ticket)
        }
    }

    private func dropTicket() {
        unsafe tickets.forEach { unsafe SSL_SESSION_free($0) }
        unsafe tickets = []
    }

    /// The newest that is still good: OpenSSL gives up the one of a connection that broke.
    private func takeNewest() -> OpaquePointer? {
        while let ticket = unsafe tickets.popLast() {
            if unsafe SSL_SESSION_is_resumable(ticket) == 1 { return unsafe ticket }
            unsafe SSL_SESSION_free(ticket)
        }
        return nil
    }
}
