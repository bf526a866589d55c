import Legacy
import Reactor

/// Decides which era one backend is of, and when to ask it. It has neither clock nor socket.
///
/// Each new session is evidence. The backend is asked when something contradicts the verdict, and otherwise once per
/// interval.
struct EraTable {
    /// What to do about a session that was opened, or about a refused handshake.
    enum Advice: Equatable {
        /// Rely on the verdict.
        case trust
        /// Ask the backend, then call ``questionEnded(_:at:)``.
        case ask
        /// Wait for the question that is under way.
        case wait
    }

    /// Between two questions within an interval. It doubles with each question that confirms the verdict, because
    /// clients may cause the doubts, and with each that is not answered, because requests wait for it.
    private static let firstSpacing: Duration = .seconds(1)
    private static let lastSpacing: Duration = .seconds(60)

    /// A verdict, and until when it holds.
    struct Finding {
        let verdict: Era
        let until: Instant
    }

    private enum Question {
        case none
        case underWay
        /// Something contradicted the verdict during the question, which may have missed it.
        case underWayAndDoubted
    }

    private let interval: Duration
    /// The last verdict.
    private(set) var verdict: Era?
    private var question = Question.none
    private var isDoubted = false
    /// When the verdict has to be confirmed.
    private var due: Instant?
    /// The earliest time of a question within the interval.
    private var earliest: Instant?
    private var spacing = EraTable.firstSpacing

    /// - Parameters:
    ///   - interval: how long a verdict holds.
    ///   - known: the finding of another table about the same backend.
    init(interval: Duration, known: Finding? = nil) {
        self.interval = interval
        verdict = known?.verdict
        due = known?.until
    }

    /// Whether the backend is being asked.
    var isAsking: Bool { question != .none }

    /// The finding for another table; `nil` if something contradicts the verdict.
    var known: Finding? {
        guard let verdict, let due, !isDoubted, question != .underWayAndDoubted else { return nil }
        return Finding(verdict: verdict, until: due)
    }

    /// Until when the verdict holds without evidence of the backend; `nil` if it does not.
    ///
    /// A doubt about a legacy backend does not matter here: the next session, which it needs anyway, is the evidence. A
    /// session that is opened before the backend may be asked again is none; the verdict ends when it may be.
    func verdictEnd(at now: Instant) -> Instant? {
        guard let verdict, let due else { return nil }
        if verdict == .modern, isDoubted { return earliest.flatMap { now < $0 ? $0 : nil } }
        return now < due ? due : nil
    }

    /// A backend that can be asked has opened a session.
    mutating func sessionOpened(at now: Instant) -> Advice {
        if isAsking { return .wait }
        if verdict == .legacy, !isDue(at: now) {
            // No further session may be opened for long: a request asks as soon as a question is allowed.
            if isDoubted, let earliest { due = earliest }
            return .trust
        }
        question = .underWay
        return .ask
    }

    /// The backend has refused `initialize` as a modern one may.
    mutating func handshakeRefused(at now: Instant) -> Advice {
        if isAsking { return .wait }
        if let earliest, now < earliest { return .trust }
        question = .underWay
        return .ask
    }

    private func isDue(at now: Instant) -> Bool {
        if let earliest, now < earliest { return false }
        return isDoubted || due.map { now >= $0 } ?? true
    }

    /// Something contradicts the verdict: a session was lost, the server has another version, a handshake failed, or a
    /// modern server sent a response that none sends.
    mutating func doubtEra() {
        if isAsking { question = .underWayAndDoubted } else { isDoubted = true }
    }

    /// The interval is over, and the backend cannot be asked now. The next session that is opened asks.
    mutating func postponeQuestion(at now: Instant) {
        due = now + interval
        doubtEra()
    }

    /// A session shows without a question that the backend is a legacy one.
    mutating func showedLegacy(at now: Instant) { settleEra(.legacy, at: now) }

    /// A question has ended. Without evidence the verdict stays; where there is no verdict, the next session or refusal
    /// asks again.
    mutating func questionEnded(_ evidence: EraEvidence, at now: Instant) {
        let wasDoubted = question == .underWayAndDoubted
        question = .none
        defer { if wasDoubted { isDoubted = true } }
        switch evidence {
        case .none:
            due = now + interval
            if verdict != nil { earliest = now + EraTable.firstSpacing }
        case .silence:
            due = now + interval
            earliest = now + spacing
            spacing = min(spacing * 2, EraTable.lastSpacing)
        case .legacy: settleEra(.legacy, at: now)
        case .modern: settleEra(.modern, at: now)
        }
    }

    private mutating func settleEra(_ found: Era, at now: Instant) {
        let isNews = verdict != found
        spacing = isNews || !isDoubted ? EraTable.firstSpacing : min(spacing * 2, EraTable.lastSpacing)
        earliest = now + spacing
        due = now + interval
        isDoubted = false
        verdict = found
    }
}
