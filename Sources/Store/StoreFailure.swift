/// Why a command has no answer. Each but ``full`` ends the connection, and another one is made.
package enum StoreFailure: Error, Equatable, Sendable {
    /// There is no connection, or it was not made; with the system's words, if there are any.
    case unreachable(String)
    /// The connection ended.
    case disconnected
    /// No answer came in time.
    case timedOut
    /// The store answered with an error; with its code.
    case refused(String)
    /// What came is no answer, or not one of those that are taken.
    case malformed
    /// An answer is larger than any may be.
    case tooLarge
    /// As many commands as may be under way are under way. The connection goes on.
    case full

    package enum Kind: String, CaseIterable, Sendable {
        case connect, disconnected, timeout, refused, malformed, full
    }

    package var kind: Kind {
        switch self {
        case .unreachable: .connect
        case .disconnected: .disconnected
        case .timedOut: .timeout
        case .refused: .refused
        case .malformed, .tooLarge: .malformed
        case .full: .full
        }
    }

    /// Whether the store may have done what it was asked.
    package var wasSent: Bool {
        switch self {
        case .unreachable, .full: false
        case .disconnected, .timedOut, .refused, .malformed, .tooLarge: true
        }
    }

    /// For the log.
    package var reason: String {
        switch self {
        case .unreachable(let reason): reason
        case .disconnected: "it closed the connection"
        case .timedOut: "it did not answer in time"
        case .refused(let code): "it refused a command: \(code)"
        case .malformed: "its answer is not one that a store gives here"
        case .tooLarge: "its answer is larger than \(StoreLimits.maxAnswer) bytes"
        case .full: "too many commands wait for their answers"
        }
    }
}

/// What bounds the connection to the store.
package enum StoreLimits {
    /// To look the name up, to connect, and for the handshake of TLS.
    static let connectTimeout: Duration = .seconds(2)
    /// A store in the same network answers within milliseconds.
    static let commandTimeout: Duration = .seconds(2)
    /// Bytes of one answer, from its first to its last.
    package static let maxAnswer = 256 << 10
    /// Elements of one answer.
    static let maxElements = 4096
    /// Commands that wait for their answers. A client may wait for one.
    package static let maxCommands = 512
    /// Bytes of a command.
    static let maxCommand = 64 << 10
    /// Before the second attempt to connect, and before any further one at the most: each is twice the one before.
    static let (firstPause, longestPause): (Duration, Duration) = (.milliseconds(100), .seconds(5))
}
