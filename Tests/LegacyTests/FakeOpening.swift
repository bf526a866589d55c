import Reactor

@testable import Legacy

/// A handshake at a fake server.
final class FakeOpening {
    enum Outcome {
        case session
        case failure(BackendError)
    }

    private var outcome: Outcome?
    private let changed: Wakeup
    private let ended = Wakeup()
    var transport: FakeTransport?

    init(_ changed: Wakeup) { self.changed = changed }

    /// Whether the server has not said yet what becomes of it.
    var isUnderWay: Bool { outcome == nil }

    var hasFailed: Bool { if case .failure = outcome { true } else { false } }

    /// Harmless for one that has ended.
    func end(_ outcome: Outcome) {
        if self.outcome != nil { return }
        self.outcome = outcome
        ended.signal()
        changed.signal()
    }

    func ending() async -> Outcome {
        while true {
            if let outcome { return outcome }
            await ended.wait()
        }
    }
}
