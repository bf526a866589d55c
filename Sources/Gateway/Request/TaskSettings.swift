import MCP
import Translation

/// What becomes of calls that run as tasks.
package struct TaskSettings: Sendable, Equatable {
    /// Whether there are tasks at all.
    package var isOn: Bool
    /// Whether a tool that may run as a task does so, for a client that declares the extension.
    package var makesOptional: Bool
    /// How long a call runs before it becomes a task, for a client that declares the extension; nil where none does.
    package var promotion: Duration?
    /// How many tasks this loop holds.
    package var max: Int
    /// How many of them one principal may have.
    package var maxPerPrincipal: Int
    /// For how long a task is held at most, from its creation. The server is asked to keep it for as long.
    package var maxTTL: Duration

    package init(
        isOn: Bool, makesOptional: Bool, promotion: Duration? = nil, max: Int, maxPerPrincipal: Int, maxTTL: Duration
    ) {
        self.isOn = isOn
        self.makesOptional = makesOptional
        self.promotion = isOn ? promotion : nil
        self.max = max
        self.maxPerPrincipal = maxPerPrincipal
        self.maxTTL = maxTTL
    }

    /// No tasks.
    package static let off = TaskSettings(
        isOn: false, makesOptional: false, max: 0, maxPerPrincipal: 0, maxTTL: .seconds(1))

    /// Whether calls on a session can become tasks.
    func haveTasks(with handshake: Handshake) -> Bool {
        isOn && (handshake.offersTasks || promotion != nil && handshake.offers(.tools))
    }

    /// How long a call of this request runs before it becomes a task; nil where it never does.
    func promotionDelay(of request: ModernRequest) -> Duration? {
        guard let promotion, request.method == .callTool, request.declaresTasks else { return nil }
        return promotion
    }

    var maxTTLMs: Int {
        Int(maxTTL.components.seconds) * 1000 + Int(maxTTL.components.attoseconds / 1_000_000_000_000_000)
    }
}
