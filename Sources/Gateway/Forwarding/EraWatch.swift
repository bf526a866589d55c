import Legacy
import Reactor
import Telemetry

/// Keeps watch over the era of the server: of each of its copies, as the sessions tell that are opened there.
///
/// The server is a modern one where a copy is and none is not: what every copy understands is the handshake.
final class EraWatch {
    /// How long a new session waits for the answer to the question. A server that takes longer is taken as it was before.
    private static let patience: Duration = .seconds(2)

    private let fixed: Era?
    private let backends: Backends
    private let sessions: SessionPool
    private let known: KnownEras
    private let log: Log
    /// Of each copy over HTTP.
    private var tables: [EraTable]
    /// Signalled when a question has ended.
    private let ended = Wakeup()
    /// The era by which to go, and until when; what most requests need to know.
    private var settled: (era: Era, until: Instant)?
    private var verdict: Era?

    /// Called when the server turns out to speak 2026-07-28 from now on.
    var onModern: (() -> Void)?

    init(
        fixed: Era?, interval: Duration, backends: Backends, sessions: SessionPool, known: KnownEras, log: Log
    ) {
        self.fixed = fixed
        self.backends = backends
        self.sessions = sessions
        self.known = known
        self.log = log
        tables = backends.overHTTP.map { EraTable(interval: interval, known: known.eras[$0.name]) }
        verdict = EraWatch.verdict(of: tables)
        guard fixed == nil else { return }
        updateSettled()
        sessions.onDoubt = { [weak self] in self?.doubt() }
        sessions.inspector = self
    }

    /// The era, where there is nothing to find out.
    var knownEra: Era? {
        if let fixed { return fixed }
        guard let settled, backends.loop.now < settled.until else { return nil }
        return settled.era
    }

    /// The era for a request that has come; nil where that is to be found out by opening a session.
    func era() -> Era? {
        if let known = knownEra { return known }
        if verdict == .legacy { lookAgain() }
        updateSettled()
        return verdict == .legacy ? .legacy : knownEra
    }

    /// Whether a request that found no session is to be passed on: a copy speaks 2026-07-28, whatever the others do.
    var servesWithoutSession: Bool {
        if let fixed { return fixed == .modern }
        return tables.contains { $0.verdict == .modern }
    }

    /// Finds out whether the server speaks 2026-07-28, for a request that needs no session.
    func isModern(for caller: Caller) async -> Bool {
        let key = SessionKey(principal: caller.principal, capabilities: Array("{}".utf8))
        return await !sessions.visit(key, caller.credentials) && servesWithoutSession
    }

    /// Something speaks against the verdict: the next session tells more.
    func doubt() { applyChange { for index in tables.indices { tables[index].doubt() } } }

    // MARK: Questions

    /// The interval is over for a server that had sessions: it is asked on one of them, and no request waits for that. One that
    /// cannot be asked shows in its next handshake what it is.
    private func lookAgain() {
        let now = backends.loop.now
        for index in tables.indices where tables[index].settled(at: now) == nil && !tables[index].isAsking {
            guard let session = sessions.anySession(at: backends.overHTTP[index]), session.mayBeAskedForEra,
                case .ask = tables[index].sessionOpened(at: now)
            else {
                tables[index].postpone(at: now)
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
        verdict = EraWatch.verdict(of: tables)
        updateSettled()
        guard fixed == nil, let verdict, verdict != before else { return }
        // What is under way goes on as it began; what comes now goes the other way.
        if verdict == .modern { onModern?() }
        log.write(.info, "backend_era") { $0.field("era", verdict == .modern ? "modern" : "legacy") }
    }

    private static func verdict(of tables: [EraTable]) -> Era? {
        if tables.contains(where: { $0.verdict == .legacy }) { return .legacy }
        return tables.contains { $0.verdict == .modern } ? .modern : nil
    }

    private func updateSettled() {
        let now = backends.loop.now
        settled = verdict.flatMap { verdict in
            let of = tables.filter { $0.verdict == verdict }
            let until = of.compactMap { $0.settled(at: now) }
            // Each of them: what one copy is, the others need not be any more.
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
        case .trust: return true
        case .wait: break
        case .ask:
            askServer(index) {
                // It has given a session: where it has nothing to say to the question, that is what counts.
                await session.askEra(credentials) == .modern ? .modern : .legacy
            }
        }
        await waitForAnswer(of: index)
        return tables[index].verdict != .modern
    }

    func refused(_ error: BackendError, by backend: Backend, _ credentials: Credentials) async -> BackendError {
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
        // What it says to those whom it does not know: with credentials it may be found out.
        return refusal ?? error
    }
}
