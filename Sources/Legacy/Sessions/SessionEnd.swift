/// Why a session has ended in which its callers may have had state at the server.
package enum SessionEnd: Sendable, Hashable {
    case lost(Loss)
    /// It was idle for `sessions.idle_timeout`.
    case expired
    /// It was idle, and its place went to another.
    case evicted

    /// What took a session from its callers.
    package enum Loss: Int, Sendable, CaseIterable {
        /// The server no longer knows it, or has ended its stream or process.
        case server
        /// A cancellation has broken it.
        case cancellation
        /// The server has not let go of a call.
        case call
        /// The server turned out to speak 2026-07-28.
        case upgrade
        /// Replicas share another one in its place.
        case replaced
        /// Another configuration has its server no longer, or sets other settings for it.
        case configuration

        /// As the log and the metrics name it.
        package var name: StaticString {
            switch self {
            case .server: "server"
            case .cancellation: "cancellation"
            case .call: "call"
            case .upgrade: "upgrade"
            case .replaced: "replaced"
            case .configuration: "configuration"
            }
        }

        /// Whether the session is of no use to any other process either.
        var isOfSession: Bool {
            switch self {
            case .server, .cancellation, .call: true
            case .upgrade, .replaced, .configuration: false
            }
        }
    }
}
