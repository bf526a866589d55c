package import Crypto
internal import Glibc

/// How a server is spoken to over TLS.
package struct ServerTLS: Sendable {
    package let context: TLSContext
    /// What its certificate must be for.
    package let name: TLSServerName

    package init(_ context: TLSContext, name: TLSServerName) {
        self.context = context
        self.name = name
    }
}

/// The TLS side of one loop's connections to a server, with what spares their handshakes.
package final class TLSClient {
    private let server: ServerTLS
    private let tickets = TLSTickets()

    package init(_ server: ServerTLS) { self.server = server }

    func makeSession() -> TLSSession { TLSSession(client: server.context, name: server.name, tickets: tickets) }
}

extension Socket {
    /// Does the handshake on a connection that was just made.
    func secureConnection(as client: TLSClient, until end: Instant) async throws(SystemError) {
        let wakeup = Wakeup()
        let timer = Deadline(on: loop)
        var isOver = false
        timer.onExpiry = {
            isOver = true
            wakeup.signal()
        }
        timer.set(end)
        defer { timer.set(nil) }
        beginTLS(by: client.makeSession()) { wakeup.signal() }
        while true {
            switch shakeHands() {
            case .done: return
            case .failed(let error): throw SystemError(error)
            case .needsInput: break
            }
            if isOver { throw SystemError("TLS", code: ETIMEDOUT) }
            await wakeup.wait()
        }
    }
}
