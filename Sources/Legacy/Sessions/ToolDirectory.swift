import Translation

/// What a session knows of its server's tools, from the last list of them.
///
/// It is asked with each call of a tool, so it answers at once or not at all. It forgets when the server says that its tools
/// have changed.
struct ToolDirectory {
    private(set) var known: ToolFacts?
    /// Changes so far. It is noted before the tools are listed, because a change may overtake the response.
    private(set) var version = 0

    /// - Parameter version: that from before the tools were listed. If they have changed since, nothing is learnt.
    mutating func storeFacts(_ facts: ToolFacts, asOf version: Int) {
        if version == self.version { known = facts }
    }

    /// The server's tools have changed.
    mutating func forgetTools() {
        known = nil
        version += 1
    }
}
