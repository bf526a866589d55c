package import JSONText
package import MCP

/// Notifications of a legacy server as a modern client reads them on the stream of its request.
package struct NotificationTranslation {
    /// The client's progress token, as it spelled it; nil when it did not ask for progress.
    private let progressToken: [UInt8]?
    /// The least severe level that the client asked for; nil when it asked for no log messages.
    private let logLevel: LoggingLevel?
    private var lastProgress = -Double.infinity

    /// - Parameter request: says what the client wants to hear (2026-07-28, basic/utilities/progress and
    ///   server/utilities/logging).
    package init(for request: ModernRequest) {
        let document = request.document
        progressToken = request.metadata.progressToken.map { Array(document.raw($0)) }
        logLevel = request.logLevel
    }

    /// The notification as the client gets it; nil when it is not for the client.
    ///
    /// Progress that does not grow is dropped: "The `progress` value MUST increase with each notification", and a client
    /// may rely on it.
    package mutating func modernNotification(_ message: Envelope, _ kind: ServerNotification) -> SplicedText? {
        switch kind {
        case .progress:
            guard let progressToken, let progress = numberMember("progress", of: message), progress > lastProgress
            else {
                return nil
            }
            lastProgress = progress
            return notificationText(of: message, progressToken: progressToken)
        case .logMessage(let level):
            guard let logLevel, level >= logLevel else { return nil }
            return notificationText(of: message)
        case .other:
            return notificationText(of: message)
        case .toolsListChanged, .promptsListChanged, .resourcesListChanged, .resourceUpdated, .questionWithdrawn,
            .elicitationCompleted, .taskStatus, .notForClients, .malformed:
            return nil
        }
    }

    private func numberMember(_ name: StaticString, of message: Envelope) -> Double? {
        guard let params = message.params, let value = message.document.value(name, of: params, .number) else {
            return nil
        }
        return Double(String(decoding: message.document.raw(value), as: UTF8.self))
    }

    private func notificationText(of message: Envelope, progressToken: [UInt8]? = nil) -> SplicedText {
        let document = message.document
        var splice = JSONSplice(document)
        if let progressToken, let params = message.params,
            let own = document.value(MetaKey.progressToken, of: params)
        {
            splice.replaceValue(own, with: progressToken)
        }
        // The client was told of no task, and only subscriptions have an id.
        if let meta = message.meta {
            splice.removeMembers(from: meta) { document.hasName($0, prefix: MetaKey.protocolPrefix) }
        }
        return splice.renderedText(document.root)
    }
}
