import Reactor
import TestSupport

/// An HTTP server on the loopback interface that answers as its test says.
final class ScriptedServer {
    let host: Host
    let inbox: RequestInbox

    /// - Parameter respond: called with each request that has come.
    init(on loop: Loop, respond: @escaping (ReceivedRequest) -> Void = { _ in }) throws {
        let inbox = RequestInbox(on: loop, respond: respond)
        self.inbox = inbox
        host = try Host(on: loop, onAccept: { inbox.watch($0) })
    }

    var requests: [ReceivedRequest] { inbox.requests }

    var endpoint: Endpoint { .host("127.0.0.1", port: host.address.port) }

    /// Ends all connections, and takes no others.
    func close() {
        host.listener.closeListener()
        for peer in host.peers { peer.socket.close() }
    }
}
