import JSONText

/// What a tool says of tasks (2025-11-25, schema `ToolExecution`). A tool that forbids them says as much as one that is silent: it has
/// none of these.
package enum TaskSupport: Sendable {
    /// The tool runs as a task where it is asked to.
    case optional
    /// The tool runs only as a task.
    case required

    /// Nil where the tool runs as no task.
    init?(of tool: JSONValue, in document: JSONDocument) {
        guard let execution = document.value("execution", of: tool, .object),
            let support = document.value("taskSupport", of: execution, .string)
        else { return nil }
        if document.string(support, equals: "required") {
            self = .required
        } else if document.string(support, equals: "optional") {
            self = .optional
        } else {
            return nil
        }
    }
}
