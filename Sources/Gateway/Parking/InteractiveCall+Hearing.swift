import JSONText
import Legacy
import MCP
import Reactor
import Translation

/// What the server says before its answer, on whichever stream.
extension InteractiveCall: QuestionListener {
    /// Of the questions that are kept until the call is ready: as many as may be open.
    private static let maxEarlyBytes = 4 << 20

    func heard(_ notification: Envelope, _ kind: ServerNotification) {
        wasTold = true
        let heard = Heard(message: notification, kind: kind)
        guard machine != nil else {
            for leg in legs { leg.hear(heard) }
            return
        }
        step { $0.heard(heard) }
    }

    var hasRoom: Bool {
        for leg in legs where !leg.responder.hasRoom { return false }
        return true
    }

    func room() async {
        if let slow = legs.first(where: { !$0.responder.hasRoom }) { await slow.room() }
    }

    func asked(_ question: Envelope) -> Bool {
        guard isReady else {
            let bytes = early.reduce(question.document.bytes.count) { $0 + $1.document.bytes.count }
            guard early.count < LegacySession.maxEarlyQuestions, bytes <= InteractiveCall.maxEarlyBytes else {
                return false
            }
            early.append(question)
            return true
        }
        decide()
        guard machine != nil else { return false }
        wasTold = true
        step { $0.asked(question, at: sessions.loop.now) { context.calls.take(self, for: key.principal) } }
        return true
    }

    func withdrawn(_ questionID: [UInt8]) {
        early.removeAll { $0.isRequest(withID: questionID) }
        step { $0.withdrawn(questionID, at: sessions.loop.now) }
    }

    func completed(_ elicitationID: [UInt8]) { step { $0.completed(elicitationID, at: sessions.loop.now) } }
}
