import Legacy
import MCP
import Translation

/// Errors about tasks (ext-tasks, "Error Handling").
extension Refusal {
    /// Always the same, whatever is wrong: forged, another caller's, or too old.
    static let invalidTask = invalidParams("there is no such task, or not any more.")

    static func wrongTaskAnswer(_ flaw: InputFlaw) -> Refusal {
        let place = flaw.key.map { #"inputResponses["\#($0)"]"# } ?? "inputResponses"
        return invalidParams("\(place): \(flaw.what). Nothing was passed on; send tasks/update again.")
    }

    static let tooManyTasks = Refusal(
        status: 503, reason: "busy", dispatched: false,
        message:
            "Too many tasks are held (tasks.max, tasks.max_per_principal). Nothing was run. Try again later, or ask for "
            + "the results of tasks that have ended.",
        retryAfter: 2, side: .remora)

    /// The replica that has the task did not answer, or takes nothing from this one.
    static func unreachableTask(_ error: BackendError) -> Refusal {
        Refusal(
            status: 503, reason: "replica_unreachable", dispatched: true,
            message:
                "The replica that has the task did not answer: \(error.detail). Ask again; answers that you gave may "
                + "have reached it.",
            retryAfter: 1, side: .remora)
    }
}
