import Crypto
import Legacy
import Translation

extension RequestState {
    /// What the client of a parked call is to carry.
    init(of call: InteractiveCall, _ machine: InteractiveCall.Machine) {
        let parkTimeout = call.parkTimeout
        let now = UnixTime.now
        // A response that comes at the end of this time is kept for as long again.
        self.init(
            issued: now, expires: now + parkTimeout + parkTimeout, principal: RequestState.principal(of: call.caller),
            request: call.digest, call: call.id, phase: machine.phase, round: UInt16(clamping: machine.round),
            owner: call.owner, resumption: call.resumption(machine))
    }

    /// Tells the caller from all others, at every replica.
    static func principal(of caller: Caller) -> [UInt8] { SHA256.digest(caller.identity) }
}

extension InteractiveCall {
    /// What another replica needs to go on with the call; nil where none could.
    fileprivate func resumption(_ machine: Machine) -> RequestState.Resumption? {
        let eventID = call?.lastEventID
        guard eventID != nil || hasPeers, let session = lease?.session else { return nil }
        return RequestState.Resumption(
            sessionID: session.sessionID ?? [], cookies: [], revision: session.handshake.revision,
            legacyRequestID: UInt64(call?.id ?? 0), lastEventID: eventID ?? [],
            pending: machine.open.map { question in
                RequestState.Pending(
                    key: Array(question.key.utf8), legacyID: question.request.legacyID ?? [],
                    kind: question.request.kind, question: RequestState.digest(of: question.request))
            },
            answers: answers)
    }
}
