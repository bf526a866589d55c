import JSONText
package import MCP

/// What a notification of a legacy server is about, and so who is to hear of it.
package enum ServerNotification: Sendable, Equatable {
    /// Progress of the request of ours that has this id: the id is the token, too (basic/utilities/progress).
    case progress(requestID: Int)
    /// A log message (server/utilities/logging).
    case logMessage(LoggingLevel)
    case toolsListChanged, promptsListChanged, resourcesListChanged
    /// The URI in UTF-8.
    case resourceUpdated([UInt8])
    /// The server takes back its question with this id, as it spelled it (basic/utilities/cancellation).
    case questionWithdrawn([UInt8])
    /// The user has done what a page asked for; its elicitation's id in UTF-8 (2025-11-25, client/elicitation).
    case elicitationCompleted([UInt8])
    /// A task is as this says (2025-11-25, basic/utilities/tasks, "Task Status Notification").
    indirect case taskStatus(LegacyTask)
    /// Is not for clients.
    case notForClients
    /// The server's own invention. It is about the request on whose stream it comes.
    case other
    /// Lacks what its method demands.
    case malformed

    /// Sorts a notification; `malformed` for any other message.
    package init(_ message: Envelope) {
        guard case .notification(let method) = message.kind, let name = message.document.string(method) else {
            self = .malformed
            return
        }
        switch name {
        case "notifications/progress": self = .progressNotification(message)
        case "notifications/message": self = .logMessage(message)
        case "notifications/tools/list_changed": self = .toolsListChanged
        case "notifications/prompts/list_changed": self = .promptsListChanged
        case "notifications/resources/list_changed": self = .resourcesListChanged
        case "notifications/resources/updated": self = .resourceUpdated(message)
        case "notifications/cancelled": self = .questionWithdrawn(message)
        case "notifications/elicitation/complete": self = .elicitationCompleted(message)
        case "notifications/tasks/status": self = .taskStatus(message)
        case "notifications/initialized", "notifications/roots/list_changed": self = .notForClients
        default:
            // A name of another shape could be taken for a request or for something of 2026-07-28.
            let isOwn =
                name.hasPrefix("notifications/") && !name.hasPrefix("notifications/subscriptions/")
                && name != "notifications/tasks"
            self = isOwn ? .other : .malformed
        }
    }

    private static func taskStatus(_ message: Envelope) -> ServerNotification {
        message.params.flatMap { LegacyTask($0, in: message.document) }.map { .taskStatus($0) } ?? .notForClients
    }

    private static func progressNotification(_ message: Envelope) -> ServerNotification {
        let document = message.document
        guard let params = message.params, document.value("progress", of: params, .number) != nil,
            let token = document.value(MetaKey.progressToken, of: params), let id = document.wholeNumber(token)
        else { return .malformed }
        return .progress(requestID: Int(id))
    }

    private static func resourceUpdated(_ message: Envelope) -> ServerNotification {
        guard let uri = message.params.flatMap({ message.document.value("uri", of: $0) }),
            // No client can subscribe to a longer one, and it would be kept for every slow subscriber.
            uri.count <= 6 * SubscriptionFilter.maxURI, let bytes = message.document.stringBytes(uri),
            bytes.count <= SubscriptionFilter.maxURI
        else { return .malformed }
        return .resourceUpdated(bytes)
    }

    private static func questionWithdrawn(_ message: Envelope) -> ServerNotification {
        guard let id = message.params.flatMap({ message.document.value("requestId", of: $0) }),
            Envelope.isValidID(id, in: message.document)
        else { return .malformed }
        return .questionWithdrawn(Array(message.document.raw(id)))
    }

    private static func elicitationCompleted(_ message: Envelope) -> ServerNotification {
        guard let id = message.params.flatMap({ message.document.value("elicitationId", of: $0) }),
            let bytes = message.document.stringBytes(id)
        else { return .malformed }
        return .elicitationCompleted(bytes)
    }

    private static func logMessage(_ message: Envelope) -> ServerNotification {
        let document = message.document
        guard let params = message.params, document.value("data", of: params) != nil,
            let spelled = document.value("level", of: params).flatMap({ document.string($0) }),
            let level = LoggingLevel(rawValue: spelled)
        else { return .malformed }
        return .logMessage(level)
    }
}
