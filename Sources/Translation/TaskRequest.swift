import JSONText
package import MCP

/// What Remora says to a legacy server about a task (2025-11-25, basic/utilities/tasks). Ids of tasks are in UTF-8.
package enum TaskRequest {
    /// `tasks/get`.
    package static func get(_ task: [UInt8], id: Int) -> [UInt8] { about(task, "tasks/get", id: id) }

    /// `tasks/result`.
    package static func result(_ task: [UInt8], id: Int) -> [UInt8] { about(task, "tasks/result", id: id) }

    /// `tasks/cancel`.
    package static func cancel(_ task: [UInt8], id: Int) -> [UInt8] { about(task, "tasks/cancel", id: id) }

    private static func about(_ task: [UInt8], _ method: StaticString, id: Int) -> [UInt8] {
        var text = Array(#"{"jsonrpc":"2.0","id":"#.utf8)
        text.appendJSON(id)
        text.append(#","method":""#)
        text.append(method)
        text.append(#"","params":{"taskId":"#)
        text.appendJSON(utf8: task[...])
        text.append("}}")
        return text
    }

    /// A response to a question of a task, which names the task ("Associating Task-Related Messages").
    ///
    /// - Parameter reply: a response; an error stays as it is, since it has no place for that.
    package static func related(_ reply: [UInt8], to task: [UInt8]) -> [UInt8] {
        guard let document = try? JSONDocument(reply, maxDepth: .max),
            let result = document.value("result", of: document.root, .object)
        else { return reply }
        var related = Array(#"{"taskId":"#.utf8)
        related.appendJSON(utf8: task[...])
        related.append("}")
        var splice = JSONSplice(document)
        if let meta = document.value("_meta", of: result, .object) {
            splice.setMember(MetaKey.relatedTask, to: related, in: meta, at: .end)
        } else {
            var meta = Array(#"{"io.modelcontextprotocol/related-task":"#.utf8)
            meta += related
            meta.append("}")
            splice.setMember("_meta", to: meta, in: result, at: .end)
        }
        var text: [UInt8] = []
        splice.renderedText(document.root).append(to: &text)
        return text
    }

    /// The task that a message of the server names in its `_meta`, in UTF-8; nil where it names none.
    package static func task(of message: Envelope) -> [UInt8]? {
        guard let meta = message.meta, let related = message.document.value(MetaKey.relatedTask, of: meta, .object)
        else { return nil }
        return message.document.value("taskId", of: related, .string).flatMap { message.document.stringBytes($0) }
    }
}
