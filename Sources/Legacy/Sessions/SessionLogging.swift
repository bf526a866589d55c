import MCP
import Reactor

/// The log level that a session has set (2025-11-25, server/utilities/logging). It only becomes more verbose: calls that
/// want different levels share the session, and each is told no more than it asked for.
final class SessionLogging {
    private let isOffered: Bool
    private var level: LoggingLevel?
    private var changing: Wakeup?

    init(isOffered: Bool) { self.isOffered = isOffered }

    /// Sees to it that the server was asked for log messages from `level` on.
    ///
    /// - Parameter ask: asks the server. Called only when needed and once at a time. A server that refuses is not asked
    ///   for the same level again.
    func lowerLevel(to level: LoggingLevel, ask: (LoggingLevel) async -> Void) async {
        while let changing { await changing.wait() }
        if !isOffered { return }
        if let current = self.level, current <= level { return }
        self.level = level
        let wakeup = Wakeup()
        changing = wakeup
        await ask(level)
        changing = nil
        wakeup.signal()
    }
}
