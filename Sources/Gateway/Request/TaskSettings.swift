/// What becomes of calls that servers run as tasks.
package struct TaskSettings: Sendable, Equatable {
    /// Whether there are tasks at all.
    package var isOn: Bool
    /// Whether a tool that may run as a task does so, for a client that declares the extension.
    package var makesOptional: Bool
    /// How many tasks this loop holds.
    package var max: Int
    /// How many of them one principal may have.
    package var maxPerPrincipal: Int
    /// For how long a task is held at most, from its creation. The server is asked to keep it for as long.
    package var maxTTL: Duration

    package init(isOn: Bool, makesOptional: Bool, max: Int, maxPerPrincipal: Int, maxTTL: Duration) {
        self.isOn = isOn
        self.makesOptional = makesOptional
        self.max = max
        self.maxPerPrincipal = maxPerPrincipal
        self.maxTTL = maxTTL
    }

    /// No tasks.
    package static let off = TaskSettings(
        isOn: false, makesOptional: false, max: 0, maxPerPrincipal: 0, maxTTL: .seconds(1))

    var maxTTLMs: Int {
        Int(maxTTL.components.seconds) * 1000 + Int(maxTTL.components.attoseconds / 1_000_000_000_000_000)
    }
}
