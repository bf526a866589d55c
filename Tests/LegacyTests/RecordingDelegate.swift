import Translation

@testable import Legacy

/// Counts what a session tells its delegate.
final class RecordingDelegate: LegacySessionDelegate {
    private(set) var losses = 0
    private(set) var isGivenUp = false
    private(set) var notices: [ChangeNotice] = []
    private(set) var gaps = 0
    private(set) var unanswered = 0

    init(of session: LegacySession) { session.delegate = self }

    func sessionWasLost() { losses += 1 }
    func sessionWasGivenUp() { isGivenUp = true }
    func sessionWasReplaced() {}
    func changeNoticeArrived(_ notice: ChangeNotice) { notices.append(notice) }
    func serverWasUnheard() { gaps += 1 }
    func questionHadNoClient() { unanswered += 1 }
}
