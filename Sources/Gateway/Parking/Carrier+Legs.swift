import HTTPTransport
import Legacy
import Reactor
import Translation

/// The end of requests that wait for a call.
extension Carrier {
    /// Answers the request that a call was begun with.
    func end(_ leg: CallLeg, _ outcome: RequestOutcome) {
        // What a client leaves behind, and what may be for another server now, is not for the event that told of it.
        if case .failed(let error) = outcome, error.kind == .cancelled || outcome.wasNeverSent {
            sessions.loop.spawn {
                if self.maySpeakModern(outcome, leg.clientRequest) {
                    await self.passAsModern(leg.source, leg.clientRequest)
                } else {
                    self.finish(leg, outcome)
                }
                self.served(by: leg.responder)
            }
            return
        }
        finish(leg, outcome)
        served(by: leg.responder)
    }

    /// Answers a request that waited for a call.
    func finish(_ leg: CallLeg, _ outcome: RequestOutcome) {
        leg.clientRequest.describe(rounds: leg.rounds, questions: leg.questions, parked: leg.parked)
        leg.clientRequest.notifications = leg.forwarded
        finish(leg.clientRequest, outcome, of: leg.source.head)
    }
}
