package import HTTPTransport
package import HTTPWire
package import Reactor

/// A legacy server, or one of its copies, as one loop talks to it.
package final class Backend {
    package struct Limits: Sendable {
        /// Bytes of one message, as a JSON body or as one event.
        package var maxMessage: Int
        /// Bytes of messages that wait for a client to take those before them; beyond them the server has to wait.
        package var streamBuffer: Int
        /// The head of an answer.
        package var head: HTTPLimits
        /// Nesting of a message.
        package var maxDepth: Int
        /// How long the server may be silent while an answer is due.
        package var silence: Duration
        package var connect: Duration

        package init(
            maxMessage: Int, streamBuffer: Int, head: HTTPLimits, maxDepth: Int, silence: Duration, connect: Duration
        ) {
            self.maxMessage = maxMessage
            self.streamBuffer = streamBuffer
            self.head = head
            self.maxDepth = maxDepth
            self.silence = silence
            self.connect = connect
        }
    }

    package let loop: Loop
    package let limits: Limits
    /// ``Limits/silence``.
    let silence: Interval
    /// Path and query of the MCP endpoint.
    package let target: [UInt8]
    /// The value of `Host`: the server's own name, as servers that guard against DNS rebinding demand.
    package let host: [UInt8]
    /// What tells it from other servers. It is not to be shown: a path may hold a secret.
    package let name: [UInt8]
    /// What it is called where it is shown; no two copies have the same.
    package let label: String
    /// Whether TLS is spoken there.
    package let isSecure: Bool
    package let connections: HTTPConnectionPool
    let health = BackendHealth()
    /// Called when an attempt to connect has ended.
    var onAttempt: ((_ succeeded: Bool) -> Void)?
    /// Whether another copy of the server is healthy.
    package internal(set) var hasAlternative: () -> Bool = { false }

    /// - Parameters:
    ///   - label: see ``label``.
    ///   - tls: nil for plain HTTP.
    ///   - hostField: the value of `Host`.
    ///   - target: path and query.
    package init(
        at endpoint: Endpoint, label: String, tls: ServerTLS? = nil, hostField: String, target: String, on loop: Loop,
        limits: Limits
    ) {
        self.loop = loop
        self.limits = limits
        silence = Interval(limits.silence)
        self.label = label
        name = Array("\(endpoint) \(target)".utf8)
        self.host = Array(hostField.utf8)
        isSecure = tls != nil
        self.target = Array(target.utf8)
        connections = HTTPConnectionPool(
            to: endpoint, tls: tls, on: loop, connectTimeout: limits.connect, limits: limits.head)
    }
}
