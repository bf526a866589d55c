import Translation

/// The tasks that calls of one loop have become.
protocol PromotedTasks: AnyObject {
    /// What the clients of the call with this id were told of its task; nil where it became none, or the task is held no longer.
    func promotedTask(_ id: CallID) -> (TaskDescription, ServerInfo)?
}
