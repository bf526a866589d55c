import Translation

/// What a session knows of its server's tools, from whoever listed them last.
///
/// It is asked with each call of a tool, so it answers at once or not at all. It forgets when the server says that its tools
/// have changed.
struct ToolDirectory {
    private(set) var known: ToolFacts?
    /// Changes so far. Whoever lists the tools notes it before, because a change may overtake the answer.
    private(set) var version = 0

    /// - Parameter version: that from before the tools were listed. If they have changed since, nothing is learnt.
    mutating func learn(_ facts: ToolFacts, asOf version: Int) {
        if version == self.version { known = facts }
    }

    /// The server's tools have changed.
    mutating func invalidate() {
        known = nil
        version += 1
    }
}
