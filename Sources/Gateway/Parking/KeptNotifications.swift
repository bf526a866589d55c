import JSONText
import MCP
import Translation

/// What a server says of a call while no request of the client waits for it: for the retry.
struct KeptNotifications {
    /// More log messages than these are of no use to a reader who comes minutes later.
    private static let maxLogs = 50
    /// Bytes of all log messages together, and of the progress: thousands of calls may be parked.
    private static let maxBytes = 65_536

    private var entries: [Heard] = []
    private var logs = 0
    private var logBytes = 0

    /// Keeps the last progress and the last log messages. What else there is belongs to a stream that is no more.
    mutating func keepNotification(_ heard: Heard) {
        guard heard.size <= KeptNotifications.maxBytes else { return }
        switch heard.kind {
        case .progress:
            entries.removeAll { $0.isProgress }
            entries.append(heard)
        case .logMessage:
            entries.append(heard)
            logs += 1
            logBytes += heard.size
            while logs > KeptNotifications.maxLogs || logBytes > KeptNotifications.maxBytes { dropOldestLog() }
        default:
            return
        }
    }

    private mutating func dropOldestLog() {
        guard let oldest = entries.firstIndex(where: { !$0.isProgress }) else { return }
        logs -= 1
        logBytes -= entries[oldest].size
        entries.remove(at: oldest)
    }

    /// All of it, in the order in which it came; nothing is left.
    mutating func takeAll() -> [Heard] {
        let all = entries
        self = KeptNotifications()
        return all
    }
}

/// A notification about a call.
struct Heard: Sendable {
    let message: Envelope
    let kind: ServerNotification

    var size: Int { message.document.bytes.count }

    fileprivate var isProgress: Bool {
        if case .progress = kind { return true }
        return false
    }
}
