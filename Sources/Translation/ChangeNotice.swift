import JSONText
package import MCP

/// Something has changed: the reason to list or read again. It says nothing of what the change is, so a notice that
/// comes twice is a notice once (2026-07-28, basic/patterns/subscriptions).
package enum ChangeNotice: Sendable, Hashable {
    case toolsListChanged, promptsListChanged, resourcesListChanged
    /// The URI in UTF-8. It may be one below that to which the client listens (server/resources, "Subscriptions").
    case resourceUpdated([UInt8])

    /// The notice that a notification of a server is; nil for other notifications.
    package init?(_ kind: ServerNotification) {
        switch kind {
        case .toolsListChanged: self = .toolsListChanged
        case .promptsListChanged: self = .promptsListChanged
        case .resourcesListChanged: self = .resourcesListChanged
        case .resourceUpdated(let uri): self = .resourceUpdated(uri)
        case .progress, .logMessage, .questionWithdrawn, .elicitationCompleted, .taskStatus, .notForClients, .other,
            .malformed:
            return nil
        }
    }

    /// What has a list that is not true any more; nil when no list has changed.
    package var changedList: ServerCapability? {
        switch self {
        case .toolsListChanged: .tools
        case .promptsListChanged: .prompts
        case .resourcesListChanged: .resources
        case .resourceUpdated: nil
        }
    }

    /// The notification for each of its subscribers.
    package var text: ChangeNoticeText { ChangeNoticeText(self) }
}

/// The notification that tells a notice, up to the one thing in which its subscribers differ.
package struct ChangeNoticeText: Sendable {
    private let start: [UInt8]
    private static let end = Array("}}}".utf8)

    fileprivate init(_ notice: ChangeNotice) {
        var text: [UInt8] = []
        text.append(#"{"jsonrpc":"2.0","method":"notifications/"#)
        switch notice {
        case .toolsListChanged: text.append(#"tools/list_changed","params":{"#)
        case .promptsListChanged: text.append(#"prompts/list_changed","params":{"#)
        case .resourcesListChanged: text.append(#"resources/list_changed","params":{"#)
        case .resourceUpdated(let uri):
            text.append(#"resources/updated","params":{"uri":"#)
            text.appendJSON(String(decoding: uri, as: UTF8.self))
            text.append(",")
        }
        text.append(SubscriptionText.metaStart)
        start = text
    }

    /// - Parameter id: of the request that opened the subscription, as the client spelled it.
    package func notification(to id: [UInt8]) -> [UInt8] { start + id + ChangeNoticeText.end }
}
