import HTTPTransport
import Legacy
import Reactor
import Translation

/// The end of requests that wait for a call.
extension Carrier {
    /// Answers the request that a call was begun with.
    func conclude(_ leg: CallLeg, _ outcome: RequestOutcome) {
        // What a client leaves behind, and what may be for another server now, is not for the event that told of it.
        if case .failed(let error) = outcome, error.kind == .cancelled || outcome.wasNeverSent {
            sessions.loop.spawn {
                if outcome.wasNeverSent, self.bypass.servesWithoutSession, !leg.responder.isStreaming {
                    leg.responder.leave()
                    await self.bypass.pass(leg.source, on: leg.responder.connection, leg.record, isModern: true)
                } else {
                    self.conclude(outcome, of: leg)
                }
                self.served(by: leg.responder)
            }
            return
        }
        conclude(outcome, of: leg)
        served(by: leg.responder)
    }

    /// Answers a request that waited for a call.
    func conclude(_ outcome: RequestOutcome, of leg: CallLeg) {
        leg.record.describe(rounds: leg.rounds, questions: leg.questions, parked: leg.parked)
        leg.record.notifications = leg.forwarded
        conclude(outcome, id: Array(leg.request.rawID), of: leg.source.head, by: leg.responder, leg.record)
    }
}
