import Legacy
import Reactor

/// Decides which era one copy of the server is of, and when to ask it. It has neither clock nor socket.
///
/// Each session that is opened tells what the copy is. It is asked when something speaks against the verdict, and otherwise once in
/// an interval.
struct EraTable {
    /// What is to be done with a session that was opened, or with a refusal.
    enum Advice: Equatable {
        /// Nothing: the verdict is good.
        case trust
        /// Ask. To be followed by ``questionEnded(_:at:)``.
        case ask
        /// That is being done: wait for it.
        case wait
    }

    /// Between two questions out of turn: doubled by each that only confirmed the verdict, because what causes the doubts
    /// may be a client, and by each that met with silence, because requests wait for it.
    private static let firstSpacing: Duration = .seconds(1)
    private static let lastSpacing: Duration = .seconds(60)

    /// A verdict, and until when nobody need ask again.
    struct Finding {
        let verdict: Era
        let until: Instant
    }

    private let interval: Duration
    /// What was found out last.
    private(set) var verdict: Era?
    private(set) var isAsking = false
    private var isDoubted = false
    /// Something spoke against the verdict while a question was under way, which may have missed it.
    private var isDoubtedSince = false
    /// When the verdict is to be looked at again.
    private var due: Instant?
    /// Before this there is no question out of turn.
    private var earliest: Instant?
    private var spacing = EraTable.firstSpacing

    /// - Parameters:
    ///   - interval: for which a verdict holds.
    ///   - known: what another table found out about the same copy.
    init(interval: Duration, known: Finding? = nil) {
        self.interval = interval
        verdict = known?.verdict
        due = known?.until
    }

    /// What another table may begin with; nil where something speaks against the verdict.
    var known: Finding? {
        guard let verdict, let due, !isDoubted, !isDoubtedSince else { return nil }
        return Finding(verdict: verdict, until: due)
    }

    /// Until when the verdict can be gone by without a look at the server; nil where it cannot.
    ///
    /// A legacy server that is doubted is found out about when a session is opened, as it has to be anyway.
    func settled(at now: Instant) -> Instant? {
        guard let verdict, let due else { return nil }
        if verdict == .modern, isDoubted { return earliest.flatMap { now < $0 ? $0 : nil } }
        return now < due ? due : nil
    }

    /// A session was opened by a server that can be asked.
    mutating func sessionOpened(at now: Instant) -> Advice {
        if isAsking { return .wait }
        if verdict == .legacy, !isDue(at: now) { return .trust }
        isAsking = true
        return .ask
    }

    /// The server has refused `initialize` as a modern one may.
    mutating func handshakeRefused(at now: Instant) -> Advice {
        if isAsking { return .wait }
        if let earliest, now < earliest { return .trust }
        isAsking = true
        return .ask
    }

    private func isDue(at now: Instant) -> Bool {
        if let earliest, now < earliest { return false }
        return isDoubted || due.map { now >= $0 } ?? true
    }

    /// Something speaks against the verdict: a session was lost, the server calls itself by another version, a handshake
    /// failed, or a modern server answered as none does.
    mutating func doubt() {
        if isAsking { isDoubtedSince = true } else { isDoubted = true }
    }

    /// The interval is over, and there is nothing to ask now: who opens the next session does.
    mutating func postpone(at now: Instant) {
        due = now + interval
        doubt()
    }

    /// A session shows without a question that the server is a legacy one.
    mutating func showedLegacy(at now: Instant) { conclude(.legacy, at: now) }

    /// A question has been answered, or has not. Where nothing is found out the verdict stays, and where there is none the
    /// next session, or refusal, makes another question.
    mutating func questionEnded(_ evidence: EraEvidence, at now: Instant) {
        isAsking = false
        defer {
            if isDoubtedSince { isDoubted = true }
            isDoubtedSince = false
        }
        switch evidence {
        case .none:
            due = now + interval
            if verdict != nil { earliest = now + EraTable.firstSpacing }
        case .silence:
            due = now + interval
            earliest = now + spacing
            spacing = min(spacing * 2, EraTable.lastSpacing)
        case .legacy: conclude(.legacy, at: now)
        case .modern: conclude(.modern, at: now)
        }
    }

    private mutating func conclude(_ found: Era, at now: Instant) {
        let isNews = verdict != found
        spacing = isNews || !isDoubted ? EraTable.firstSpacing : min(spacing * 2, EraTable.lastSpacing)
        earliest = now + spacing
        due = now + interval
        isDoubted = false
        verdict = found
    }
}

/// What is known of the era of each copy of the server, by its name. It outlives a configuration, so that a reload need not ask again.
final class KnownEras {
    var eras: [[UInt8]: EraTable.Finding] = [:]
}
