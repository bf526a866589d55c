import JSONText
import MCP
import Translation

@testable import Legacy

/// A call during which the server may ask something.
final class FakeOwner: QuestionObserver {
    /// Whether it answers what it is asked.
    var answers = true
    var hasRoom = true
    private(set) var questions: [String] = []
    private(set) var notifications: [String] = []

    func notificationArrived(_ notification: Envelope, _ kind: ServerNotification) {
        notifications.append(String(decoding: notification.document.bytes, as: UTF8.self))
    }

    func waitForRoom() async {}

    func questionArrived(_ question: Envelope) -> Bool {
        questions.append(String(decoding: question.document.bytes, as: UTF8.self))
        return answers
    }

    func questionWithdrawn(_ questionID: [UInt8]) {}

    func elicitationCompleted(_ elicitationID: [UInt8]) {}
}
