import Reactor

/// Which of the two ways the backend speaks (2026-07-28, basic/versioning, "Terminology").
package enum Era: Sendable {
    /// With a handshake and sessions, until 2025-11-25: calls are translated.
    case legacy
    /// Each request by itself, from 2026-07-28 on: nothing is translated.
    case modern
}

/// Decides which era the backend is of, and when to ask it. It has neither clock nor socket.
///
/// A probe makes some legacy servers keep a session that nobody uses, so it is made rarely: at the start, out of turn when
/// something speaks against the verdict, and otherwise once in an interval. It is a request that makes it due: where none
/// comes, nobody needs to know.
struct EraTable {
    /// What an answer to a probe says.
    enum Evidence {
        case legacy, modern
        /// The backend could not be reached, was ill, or wanted credentials: that speaks for neither.
        case none
        /// It took the question and said nothing, which speaks for neither, and will be so the next time.
        case silence
    }

    /// What a request does.
    enum Decision: Equatable {
        case use(Era)
        /// A probe is due too, which is to be made without waiting for it.
        case useAndProbe(Era)
        /// Make a probe, and wait for it.
        case probe
        /// One is under way: wait for it.
        case wait
    }

    /// Between two probes out of turn: doubled by each that only confirmed the verdict, because what causes the doubts
    /// may be a client, and by each that met with silence, because requests wait for it.
    private static let firstSpacing: Duration = .seconds(1)
    private static let lastSpacing: Duration = .seconds(60)

    /// A verdict, and until when nobody need ask again.
    struct Known {
        let verdict: Era
        let until: Instant
    }

    private let fixed: Era?
    private let interval: Duration
    /// What the last probe that found evidence said.
    private(set) var verdict: Era?
    private(set) var isProbing = false
    private var isDoubted = false
    /// Something spoke against the verdict while a probe was under way, which may have missed it.
    private var isDoubtedSince = false
    private var hasProbed = false
    /// When the next probe in turn is due.
    private var due: Instant?
    /// Before this there is no probe out of turn.
    private var earliest: Instant?
    private var spacing = EraTable.firstSpacing

    /// - Parameters:
    ///   - fixed: the era as it is configured; nil to find it out.
    ///   - interval: between two probes in turn.
    ///   - known: what another table found out about the same backend.
    init(fixed: Era?, interval: Duration, known: Known? = nil) {
        self.fixed = fixed
        self.interval = interval
        verdict = known?.verdict
        due = known?.until
        hasProbed = known != nil
    }

    /// What another table may begin with; nil where something speaks against the verdict.
    var known: Known? {
        guard let verdict, let due, !isDoubted, !isDoubtedSince else { return nil }
        return Known(verdict: verdict, until: due)
    }

    /// The era to go by. A backend of which nothing is known counts as legacy: a modern one says so to a handshake.
    var era: Era { fixed ?? verdict ?? .legacy }

    /// The start. Returns whether to probe.
    mutating func start() -> Bool {
        guard fixed == nil, verdict == nil else { return false }
        isProbing = true
        return true
    }

    /// The era, where `decide` would say just that.
    func settled(at now: Instant) -> Era? {
        if let fixed { return fixed }
        guard let verdict, !isDoubted, let due, now < due || isProbing else { return nil }
        return verdict
    }

    /// A request has come.
    mutating func decide(at now: Instant) -> Decision {
        guard fixed == nil else { return .use(era) }
        guard let verdict, !isDoubted else {
            if isProbing { return .wait }
            if let earliest, now < earliest { return .use(era) }
            isProbing = true
            return .probe
        }
        guard !isProbing, let due, now >= due else { return .use(verdict) }
        isProbing = true
        return .useAndProbe(verdict)
    }

    /// Something speaks against the verdict: a session was lost, the server calls itself by another version, a handshake
    /// failed, or a modern server answered as none does.
    mutating func doubt() {
        if isProbing { isDoubtedSince = true } else { isDoubted = true }
    }

    /// A probe has ended. Returns the era to which the verdict turned, if it did.
    mutating func ended(_ evidence: Evidence, at now: Instant) -> Era? {
        isProbing = false
        due = now + interval
        defer {
            hasProbed = true
            if isDoubtedSince { isDoubted = true }
            isDoubtedSince = false
        }
        let found: Era
        switch evidence {
        case .none:
            // The probe at the start has no credentials and may come before the server: the first request tries again.
            earliest = hasProbed ? now + EraTable.firstSpacing : now
            return nil
        case .silence:
            earliest = now + spacing
            spacing = min(spacing * 2, EraTable.lastSpacing)
            return nil
        case .legacy: found = .legacy
        case .modern: found = .modern
        }
        let isNews = verdict != found
        spacing = isNews || !isDoubted ? EraTable.firstSpacing : min(spacing * 2, EraTable.lastSpacing)
        earliest = now + spacing
        isDoubted = false
        verdict = found
        return isNews ? found : nil
    }
}
