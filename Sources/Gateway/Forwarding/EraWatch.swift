import Legacy
import Reactor
import Telemetry

/// Hears of a change of the server's era. Called on the loop.
protocol EraObserver: AnyObject {
    /// The server has become a modern one.
    func serverBecameModern()
}

/// Detects the era of the server from the sessions that its backends open.
///
/// The server is modern if a backend is modern and none is legacy: the handshake is what all of them understand.
final class EraWatch {
    /// How long a new session waits for the answer to the question. After that the verdict before it holds.
    private static let patience: Duration = .seconds(2)

    private let fixed: Era?
    private let backends: Backends
    private let sessions: SessionPool
    private let known: KnownEras
    private let log: Log
    /// A table for each backend over HTTP.
    private var tables: [EraTable]
    /// Signalled when a question has ended.
    private let ended = Wakeup()
    /// The verdict for most requests, and until when it holds.
    private var settled: (era: Era, until: Instant)?
    private var verdict: Era?

    weak var observer: (any EraObserver)?

    init(
        fixed: Era?, interval: Duration, backends: Backends, sessions: SessionPool, known: KnownEras, log: Log
    ) {
        self.fixed = fixed
        self.backends = backends
        self.sessions = sessions
        self.known = known
        self.log = log
        tables = backends.overHTTP.map { EraTable(interval: interval, known: known.eras[$0.name]) }
        verdict = EraWatch.commonVerdict(of: tables)
        guard fixed == nil else { return }
        updateSettled()
        sessions.inspector = self
    }

    /// The era, unless evidence is needed.
    var knownEra: Era? {
        if let fixed { return fixed }
        guard let settled, backends.loop.now < settled.until else { return nil }
        return settled.era
    }

    /// The era for a new request; `nil` if a session has to be opened for evidence.
    func eraForRequest() -> Era? {
        if let known = knownEra { return known }
        if verdict == .legacy { lookAgain() }
        updateSettled()
        return verdict == .legacy ? .legacy : knownEra
    }

    /// Whether to forward a request for which no session could be opened: a backend is modern.
    var servesWithoutSession: Bool {
        if let fixed { return fixed == .modern }
        return tables.contains { $0.verdict == .modern }
    }

    /// Detects whether the server is modern, for a request that needs no session.
    func isModern(for caller: Caller) async -> Bool {
        let key = SessionKey(principal: caller.principal, capabilities: Array("{}".utf8))
        return await !sessions.openForInspection(key, caller.credentials) && servesWithoutSession
    }

    /// Something contradicts the verdict. The next session is evidence.
    func doubtEra() { applyChange { for index in tables.indices { tables[index].doubtEra() } } }

    // MARK: Questions

    /// Asks a server whose interval is over on one of its sessions. No request waits for that. The next handshake is
    /// the evidence for a server that cannot be asked.
    private func lookAgain() {
        let now = backends.loop.now
        for index in tables.indices where tables[index].verdictEnd(at: now) == nil && !tables[index].isAsking {
            guard let session = sessions.anySession(at: backends.overHTTP[index]), session.mayBeAskedForEra,
                case .ask = tables[index].sessionOpened(at: now)
            else {
                tables[index].postponeQuestion(at: now)
                sessions.renewUnkept()
                continue
            }
            askServer(index) { await session.askEra(session.credentials) }
        }
    }

    private func askServer(_ index: Int, _ question: @escaping () async -> EraEvidence) {
        backends.loop.spawn {
            let evidence = await question()
            self.applyChange { self.tables[index].questionEnded(evidence, at: self.backends.loop.now) }
            self.ended.signal()
        }
    }

    private func waitForAnswer(of index: Int) async {
        let loop = backends.loop
        await ended.wait(while: { tables[index].isAsking }, until: loop.now + EraWatch.patience, on: loop)
    }

    // MARK: Verdicts

    private func applyChange(_ event: () -> Void) {
        event()
        for (backend, table) in zip(backends.overHTTP, tables) { known.eras[backend.name] = table.known }
        let before = verdict
        verdict = EraWatch.commonVerdict(of: tables)
        updateSettled()
        guard fixed == nil, let verdict, verdict != before else { return }
        // Requests that are under way continue as they began.
        if verdict == .modern { observer?.serverBecameModern() }
        log.write(.info, "backend_era") { $0.field("era", verdict == .modern ? "modern" : "legacy") }
    }

    private static func commonVerdict(of tables: [EraTable]) -> Era? {
        if tables.contains(where: { $0.verdict == .legacy }) { return .legacy }
        return tables.contains { $0.verdict == .modern } ? .modern : nil
    }

    private func updateSettled() {
        let now = backends.loop.now
        settled = verdict.flatMap { verdict in
            let of = tables.filter { $0.verdict == verdict }
            let until = of.compactMap { $0.verdictEnd(at: now) }
            // All of them have to be settled: another backend may have changed.
            guard until.count == of.count, let first = until.min() else { return nil }
            return (verdict, first)
        }
    }
}

extension EraWatch: SessionInspector {
    func mayServe(_ session: LegacySession, at backend: Backend, _ credentials: Credentials) async -> Bool {
        guard let index = backends.overHTTP.firstIndex(where: { $0 === backend }) else { return true }
        guard session.mayBeAskedForEra else {
            applyChange { tables[index].showedLegacy(at: backends.loop.now) }
            return true
        }
        switch tables[index].sessionOpened(at: backends.loop.now) {
        case .trust:
            // The verdict may end sooner.
            updateSettled()
            return true
        case .wait: break
        case .ask:
            askServer(index) {
                // It has opened a session. Without an answer to the question, that is the evidence.
                await session.askEra(credentials) == .modern ? .modern : .legacy
            }
        }
        await waitForAnswer(of: index)
        return tables[index].verdict != .modern
    }

    func inspectRefusal(_ error: BackendError, by backend: Backend, _ credentials: Credentials) async -> BackendError {
        guard let index = backends.overHTTP.firstIndex(where: { $0 === backend }) else { return error }
        var refusal: BackendError?
        switch error.eraHint {
        case .none: return error
        case .modern: applyChange { tables[index].questionEnded(.modern, at: backends.loop.now) }
        case .mayBeModern:
            switch tables[index].handshakeRefused(at: backends.loop.now) {
            case .trust: break
            case .wait: await waitForAnswer(of: index)
            case .ask:
                askServer(index) {
                    let answer = await backend.askEra(credentials)
                    refusal = answer.refusal
                    return answer.0
                }
                await waitForAnswer(of: index)
            }
        }
        if tables[index].verdict == .modern {
            return BackendError(.unavailable, "the server speaks 2026-07-28 itself", isRefusal: true)
        }
        // The refusal of the question: a caller with credentials may get an answer.
        return refusal ?? error
    }
}
