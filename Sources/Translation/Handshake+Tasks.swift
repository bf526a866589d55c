import JSONText
import MCP

/// The tasks of a server (2025-11-25, basic/utilities/tasks, "Capabilities").
extension Handshake {
    /// Whether a call of a tool can be made a task.
    package var offersTasks: Bool {
        guard let requests = taskMember("requests"), let tools = document.value("tools", of: requests, .object)
        else { return false }
        return document.value("call", of: tools).map { Handshake.isDeclared($0, in: document) } ?? false
    }

    /// Whether a task can be cancelled.
    package var cancelsTasks: Bool { taskMember("cancel").map { Handshake.isDeclared($0, in: document) } ?? false }

    private func taskMember(_ name: StaticString) -> JSONValue? {
        guard revision == .v2025_11_25, let capabilities = document.value("capabilities", of: result, .object),
            let tasks = document.value("tasks", of: capabilities, .object)
        else { return nil }
        return document.value(name, of: tasks)
    }
}
