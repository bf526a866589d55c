import Legacy
import Reactor
import Telemetry

/// Keeps watch over the backend's era: probes when `EraTable` says so, and lets requests wait for the outcome.
final class EraWatch {
    /// How long a request waits for a probe. A server that takes longer is taken as it was before.
    private static let patience: Duration = .seconds(2)

    private let backends: Backends
    private let memory: LoopMemory
    private let log: Log
    private var table: EraTable
    private let ended = Wakeup()

    /// Called when the backend turns out to speak 2026-07-28 from now on.
    var onModern: (() -> Void)?

    init(
        fixed: Era?, interval: Duration, backends: Backends, sessions: SessionPool, memory: LoopMemory, log: Log
    ) {
        self.backends = backends
        self.memory = memory
        self.log = log
        let known = memory.era.flatMap { $0.server == backends.name ? $0.known : nil }
        table = EraTable(fixed: fixed, interval: interval, known: known)
        sessions.onDoubt = { [weak self] in self?.doubt() }
    }

    /// Asks for the first time. Nobody's credentials are known yet.
    func start() {
        if table.start() { probe(.none) }
    }

    /// The era, where there is nothing to find out.
    var knownEra: Era? { table.settled(at: backends.loop.now) }

    /// The era for a request that has come; nil where it has to wait for ``settled()``.
    ///
    /// - Parameter credentials: of the request, for a probe that it makes due.
    func era(_ credentials: @autoclosure () -> Credentials) -> Era? {
        switch table.decide(at: backends.loop.now) {
        case .use(let era):
            return era
        case .useAndProbe(let era):
            probe(credentials())
            return era
        case .probe:
            probe(credentials())
            return nil
        case .wait:
            return nil
        }
    }

    /// The era, when the probe under way has ended or has taken too long.
    func settled() async -> Era {
        let loop = backends.loop
        await ended.wait(while: { table.isProbing }, until: loop.now + EraWatch.patience, on: loop)
        return table.era
    }

    /// Something speaks against the verdict: the next request asks again.
    func doubt() {
        table.doubt()
        remember()
    }

    private func remember() { memory.era = table.known.map { (backends.name, $0) } }

    private func probe(_ credentials: Credentials) {
        backends.loop.spawn {
            let evidence = await EraProbe.ask(self.backends.any(), credentials: credentials)
            if let era = self.table.ended(evidence, at: .now) { self.turn(to: era) }
            self.remember()
            self.ended.signal()
        }
    }

    /// What is under way goes on as it began; what comes now goes the other way.
    private func turn(to era: Era) {
        if era == .modern { onModern?() }
        log.write(.info, "backend_era") { $0.field("era", era == .modern ? "modern" : "legacy") }
    }
}
