package import JSONText
package import MCP

/// How a task ended, as a client of the extension reads it (ext-tasks, "Task Status").
package enum TaskOutcome: Sendable {
    /// The result of the call, as a whole object.
    case completed(SplicedText)
    /// The error of the call, as a whole object.
    case failed([UInt8])
    case cancelled

    /// What the answer to `tasks/result` says of a task that has ended. A result is `completed`, whatever its `isError` says; a
    /// JSON-RPC error is `failed`, with a code that a modern client may read, as in any answer to `tools/call`. So is a result that is
    /// none of a call: the Python SDK answers so for a task that failed before it had one.
    ///
    /// - Parameter message: what the server said of the task last, as a JSON string.
    package init(
        _ outcome: Envelope.Outcome, in document: JSONDocument, saying message: [UInt8]?, with context: ResultContext
    ) throws(TranslationError) {
        if case .result(let result) = outcome, result.kind == .object, !TaskOutcome.isOfCall(result, in: document) {
            self = .failed(TaskOutcome.withoutResult(message))
        } else {
            try self.init(ofCall: outcome, in: document, with: context)
        }
    }

    /// What the answer to a `tools/call` says, where the call was no task to its server.
    package init(
        ofCall outcome: Envelope.Outcome, in document: JSONDocument, with context: ResultContext
    ) throws(TranslationError) {
        switch outcome {
        case .result(let result):
            var text = SplicedText(capacity: result.count + context.serverInfo.meta.count + 64)
            try ResultTranslation.appendResult(result, in: document, of: .callTool, with: context, to: &text)
            self = .completed(text)
        case .error(let error):
            self = .failed(try ErrorTranslation.taskError(error, in: document))
        }
    }

    /// Whether a result is one of a call of a tool.
    package static func isOfCall(_ result: JSONValue, in document: JSONDocument) -> Bool {
        ToolTranslation.hasContent(result, in: document) || document.value("structuredContent", of: result) != nil
            || document.value("isError", of: result) != nil
    }

    /// The error of a task that failed without a result.
    ///
    /// - Parameter message: a JSON string.
    package static func withoutResult(_ message: [UInt8]?) -> [UInt8] {
        var text = Array(#"{"code":"#.utf8)
        text.appendJSON(ErrorCode.internalError)
        text.append(#","message":"#)
        text += message ?? Array(#""The task ended without a result.""#.utf8)
        text.append("}")
        return text
    }

    /// A failure that no server spoke of.
    package init(failure message: String, reason: StaticString) {
        self.init(
            failure: message, code: ErrorCode.internalError,
            data: Array(#"{"reason":""#.utf8) + Array(String(describing: reason).utf8) + Array(#""}"#.utf8))
    }

    /// - Parameter data: JSON.
    package init(failure message: String, code: Int, data: [UInt8]?) {
        var text = Array(#"{"code":"#.utf8)
        text.appendJSON(code)
        text.append(#","message":"#)
        text.appendJSON(message)
        if let data { text += #","data":"#.utf8 + data }
        text.append("}")
        self = .failed(text)
    }

    /// Bytes that it takes to keep.
    package var size: Int {
        switch self {
        case .completed(let text): text.count
        case .failed(let text): text.count
        case .cancelled: 0
        }
    }
}
