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
        guard eventID != nil || hasPeers, let session else { return nil }
        return RequestState.Resumption(
            sessionID: session.sessionID ?? [], cookies: session.cookieField, revision: session.handshake.revision,
            legacyRequestID: UInt64(call?.id ?? 0), lastEventID: eventID ?? [],
            pending: machine.open.map { question in
                RequestState.Pending(
                    key: Array(question.key.utf8), legacyID: question.request.legacyID ?? [],
                    kind: question.request.kind, question: RequestState.digest(of: question.request))
            },
            answers: answers)
    }
}

extension RequestState.Resumption {
    /// The questions that the client has, if `responses` answer all of them; nil when not, since what they were is not known
    /// any more.
    func open(answeredBy responses: InputResponses) -> [InteractiveCall.Machine.Question]? {
        let questions = pending.map { question in
            InteractiveCall.Machine.Question(
                key: String(decoding: question.key, as: UTF8.self),
                request: InputRequest(asked: question.kind, legacyID: question.legacyID), isAsked: true)
        }
        let areAnswered = zip(questions, pending).allSatisfy { question, pending in
            !pending.legacyID.isEmpty
                && (try? responses.answer(question.key, to: question.request, in: revision)) != nil
        }
        return areAnswered && !questions.isEmpty ? questions : nil
    }
}

extension LegacySession.Lost {
    /// Nil where the server gave the call no session, or nothing runs there.
    init?(_ resumption: RequestState.Resumption) {
        guard !resumption.sessionID.isEmpty, let requestID = Int(exactly: resumption.legacyRequestID), requestID > 0
        else { return nil }
        self.init(
            sessionID: resumption.sessionID, cookies: resumption.cookies, revision: resumption.revision,
            requestID: requestID, lastEventID: resumption.lastEventID)
    }
}
