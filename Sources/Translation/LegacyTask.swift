package import JSONText

/// A task as its server describes it (2025-11-25, schema `Task`). What has the wrong type, or is too long to be kept, is left out.
package struct LegacyTask: Equatable, Sendable {
    package enum Status: Sendable {
        case working, inputRequired, completed, failed, cancelled

        /// Whether no other status follows.
        package var isTerminal: Bool {
            switch self {
            case .working, .inputRequired: false
            case .completed, .failed, .cancelled: true
            }
        }
    }

    /// The server's name of the task, in UTF-8.
    package let id: [UInt8]
    package let status: Status
    /// As the server spelled it, with its quotes.
    package let statusMessage: [UInt8]?
    /// Likewise, of what looks like a time of ISO 8601.
    package let createdAt: [UInt8]?
    package let lastUpdatedAt: [UInt8]?
    /// For how long the server keeps the task from its creation, in milliseconds, above 0; nil where it does not say, or for ever.
    package let ttl: Int?
    /// How long to wait between two polls, in milliseconds, above 0.
    package let pollInterval: Int?

    /// Bytes of an id: it is kept with the task, and sent with each poll.
    private static let maxID = 1024
    /// Bytes of a message as it is spelled.
    private static let maxMessage = 4096
    private static let maxTime = 64

    /// Nil for what is no task: without an id, or with a status that is none.
    package init?(_ task: JSONValue, in document: JSONDocument) {
        guard task.kind == .object, let id = document.value("taskId", of: task, .string),
            id.count <= 6 * LegacyTask.maxID, let bytes = document.stringBytes(id),
            (1...LegacyTask.maxID).contains(bytes.count), document.string(id, equals: bytes),
            let status = document.value("status", of: task).flatMap({ LegacyTask.status($0, in: document) })
        else { return nil }
        self.id = bytes
        self.status = status
        func text(_ name: StaticString, atMost most: Int) -> [UInt8]? {
            document.value(name, of: task, .string).flatMap { $0.count <= most ? Array(document.raw($0)) : nil }
        }
        func number(_ name: StaticString) -> Int? {
            document.value(name, of: task, .number).flatMap { document.wholeNumber($0) }.flatMap { Int(exactly: $0) }
                .flatMap { $0 > 0 ? $0 : nil }
        }
        statusMessage = text("statusMessage", atMost: LegacyTask.maxMessage)
        createdAt = text("createdAt", atMost: LegacyTask.maxTime).flatMap { LegacyTask.isTime($0) ? $0 : nil }
        lastUpdatedAt = text("lastUpdatedAt", atMost: LegacyTask.maxTime).flatMap { LegacyTask.isTime($0) ? $0 : nil }
        ttl = number("ttl")
        pollInterval = number("pollInterval")
    }

    /// The task in the result of a call that was made one (2025-11-25, schema `CreateTaskResult`); nil where the result is the call's own.
    package init?(createdBy result: JSONValue, in document: JSONDocument) {
        // A tool's own result has content, and may have a member of any name.
        guard document.value("content", of: result) == nil, let task = document.value("task", of: result, .object)
        else { return nil }
        self.init(task, in: document)
    }

    private static func status(_ value: JSONValue, in document: JSONDocument) -> Status? {
        switch document.string(value) {
        case "working": .working
        case "input_required": .inputRequired
        case "completed": .completed
        case "failed": .failed
        case "cancelled": .cancelled
        default: nil
        }
    }

    /// `"2025-11-25T…"`: a client may show nothing for what it cannot read, or fail.
    private static func isTime(_ text: [UInt8]) -> Bool {
        func isDigit(_ index: Int) -> Bool { (0x30...0x39).contains(text[index]) }
        return text.count >= 21 && (1...4).allSatisfy(isDigit) && text[5] == UInt8(ascii: "-")
            && text[11] == UInt8(ascii: "T") && !text.contains(UInt8(ascii: "\\"))
    }
}
