package import JSONText
import MCP

/// What a client reads of a task beside its status (ext-tasks, schema `Task`).
package struct TaskDescription: Equatable, Sendable {
    /// ASCII that needs no escaping.
    package let id: [UInt8]
    /// JSON strings.
    package var createdAt: [UInt8]
    package var lastUpdatedAt: [UInt8]
    /// From the creation, in milliseconds.
    package var ttlMs: Int
    package var pollIntervalMs: Int?
    /// A JSON string.
    package var statusMessage: [UInt8]?

    /// - Parameters:
    ///   - id: for the client.
    ///   - now: for a time that the server does not give; a JSON string.
    ///   - maxTTL: for how long a task is kept at most, in milliseconds.
    package init(_ task: LegacyTask, id: [UInt8], now: [UInt8], maxTTL: Int) {
        self.id = id
        createdAt = task.createdAt ?? now
        lastUpdatedAt = task.lastUpdatedAt ?? now
        ttlMs = min(task.ttl ?? maxTTL, maxTTL)
        pollIntervalMs = task.pollInterval.map { min($0, TaskDescription.maxPollInterval) }
        statusMessage = task.statusMessage
    }

    /// A task of which nothing else is known any more.
    ///
    /// - Parameter createdAt: a JSON string.
    package init(id: [UInt8], createdAt: [UInt8], ttlMs: Int) {
        self.id = id
        self.createdAt = createdAt
        lastUpdatedAt = createdAt
        self.ttlMs = ttlMs
    }

    /// What the server said last. The task keeps its id and the time of its creation.
    package mutating func update(_ task: LegacyTask, now: [UInt8], maxTTL: Int) {
        let newest = TaskDescription(task, id: id, now: now, maxTTL: maxTTL)
        let before = createdAt
        self = newest
        createdAt = before
    }

    /// Longer, and a client would find an end late.
    private static let maxPollInterval = 3_600_000
}

/// Where a task is, as a client reads it.
package enum TaskState: Sendable {
    case working
    /// With every question that is open; at least one.
    case inputRequired([(key: String, request: InputRequest)])
    case ended(TaskOutcome)

    /// Of a task that goes on. One that asks nothing is `working`, whatever its server says: `input_required` needs a question.
    ///
    /// - Parameter questions: those that are open.
    package init(_ questions: [(key: String, request: InputRequest)]) {
        self = questions.isEmpty ? .working : .inputRequired(questions)
    }

    fileprivate var name: StaticString {
        switch self {
        case .working: "working"
        case .inputRequired: "input_required"
        case .ended(.completed): "completed"
        case .ended(.failed): "failed"
        case .ended(.cancelled): "cancelled"
        }
    }
}

/// The messages of the extension for tasks to a client (`modelcontextprotocol/ext-tasks`, specification/draft/tasks).
package enum TaskText {
    /// The answer to a call that was made a task ("Task Creation"). It says nothing of the outcome, whatever the status is.
    package static func created(
        _ task: TaskDescription, _ state: TaskState, from serverInfo: ServerInfo, answering request: ModernRequest
    ) -> SplicedText {
        var text = SplicedText(ResponseText.resultHead(id: request.rawID))
        text.append(#"{"resultType":"task","#)
        append(task, state, to: &text)
        end(from: serverInfo, &text)
        return text
    }

    /// The answer to `tasks/get` ("Task Polling").
    package static func detailed(
        _ task: TaskDescription, _ state: TaskState, from serverInfo: ServerInfo, answering request: ModernRequest
    ) -> SplicedText {
        var text = SplicedText(ResponseText.resultHead(id: request.rawID))
        text.append(#"{"resultType":"complete","#)
        append(task, state, to: &text)
        appendDetails(of: state, to: &text)
        end(from: serverInfo, &text)
        return text
    }

    /// The answer to `tasks/update` and `tasks/cancel`: an empty result.
    package static func acknowledgment(from serverInfo: ServerInfo, answering request: ModernRequest) -> SplicedText {
        var text = SplicedText(ResponseText.resultHead(id: request.rawID))
        text.append(#"{"resultType":"complete""#)
        end(from: serverInfo, &text)
        return text
    }

    /// What a listener is told: what `tasks/get` would say now ("Task Status Notifications").
    ///
    /// - Parameter subscription: the id of the request to listen, as it was spelled.
    package static func notification(
        _ task: TaskDescription, _ state: TaskState, subscription: [UInt8]
    ) -> SplicedText {
        var text = SplicedText()
        text.append(#"{"jsonrpc":"2.0","method":"notifications/tasks","params":{"#)
        text.append(SubscriptionText.metaStart)
        text.append(subscription)
        text.append("},")
        append(task, state, to: &text)
        appendDetails(of: state, to: &text)
        text.append("}}")
        return text
    }

    private static func end(from serverInfo: ServerInfo, _ text: inout SplicedText) {
        text.append(",")
        text.append(serverInfo.meta)
        text.append("}}")
    }

    private static func append(_ task: TaskDescription, _ state: TaskState, to text: inout SplicedText) {
        text.append(#""taskId":""#)
        text.append(task.id)
        text.append(#"","status":""#)
        text.append(state.name)
        text.append("\"")
        if let message = task.statusMessage {
            text.append(#","statusMessage":"#)
            text.append(message)
        }
        text.append(#","createdAt":"#)
        text.append(task.createdAt)
        text.append(#","lastUpdatedAt":"#)
        text.append(task.lastUpdatedAt)
        text.append(#","ttlMs":"#)
        text.appendJSON(task.ttlMs)
        if let interval = task.pollIntervalMs {
            text.append(#","pollIntervalMs":"#)
            text.appendJSON(interval)
        }
    }

    private static func appendDetails(of state: TaskState, to text: inout SplicedText) {
        switch state {
        case .working, .ended(.cancelled):
            break
        case .inputRequired(let questions):
            text.append(#","inputRequests":{"#)
            for (index, question) in questions.enumerated() {
                if index > 0 { text.append(",") }
                var key: [UInt8] = []
                key.appendJSON(question.key)
                text.append(key)
                text.append(":")
                text.append(question.request.text)
            }
            text.append("}")
        case .ended(.completed(let result)):
            text.append(#","result":"#)
            for slice in result.slices { text.append(Array(slice)) }
        case .ended(.failed(let error)):
            text.append(#","error":"#)
            text.append(error)
        }
    }
}
