import JSONText
import MCP
import Translation

/// A message of a server that has not answered `initialize` yet.
protocol EarlyMessage {
    /// The answer to it, where it is a `ping`: the one thing that a server may ask before it is told that the handshake is
    /// over (2025-11-25, basic/lifecycle, "Initialization").
    var pong: [UInt8]? { get }
    /// Whether it is kept until the session is there.
    var isForSession: Bool { get }
}

extension Envelope: EarlyMessage {
    var pong: [UInt8]? {
        guard case .request(let id, let method) = kind, document.string(method, equals: "ping") else { return nil }
        return ServerRequest.emptyResult(id: document.raw(id))
    }

    /// Notifications before the answer are about no call.
    var isForSession: Bool { if case .request = kind { true } else { false } }
}
