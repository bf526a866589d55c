import Translation

/// What goes in and comes out.
extension ParkedCall {
    /// A request of the client.
    struct Leg: Equatable, Sendable {
        /// Given by the holder of the request; different for each.
        let id: Int
        let capabilities: InputCapabilities
    }

    struct Question: Equatable, Sendable {
        let key: String
        let request: InputRequest
        /// Whether the client has seen it. What it has not seen, it cannot answer.
        var isAsked = false
        /// Asks again for what was agreed to: its answer is nothing to the server.
        var isReminder = false
    }

    enum Outcome: Sendable {
        case answered(Response)
        /// The call failed after questions that the client cannot be asked: 400 `-32021`.
        case missingCapabilities(InputCapabilities)
        /// The user would not go to a page without which the server does not run the call.
        case declined
    }

    /// Why a retry is answered and the call goes on as if it had not come.
    enum Rejection: Sendable {
        case wrongAnswer(InputFlaw)
        case missingCapabilities(InputCapabilities)
        /// The call cannot continue: no retry came in time.
        case lost
        /// Too many calls are parked. Nothing was run.
        case full
    }

    enum Action: Sendable {
        /// Send this response to the server.
        case reply([UInt8])
        /// Answer the legs with these questions, and a `requestState` of this round.
        case ask([Leg], [Question], round: Int)
        case forward([Leg], Heard)
        case finishLegs([Leg], Outcome)
        case reject(Leg, Rejection)
        /// Tell the server that the call is cancelled.
        case cancel
        /// Send the call again.
        case dispatch
        /// The session is free for other calls.
        case release
        /// The session cannot be used any more: the server does not let go of the call.
        case discardSession
        /// The session is another replica's, with the call in it: the server is told nothing.
        case leaveSession
        /// Write to the log that there have been this many rounds.
        case warn(rounds: Int)
        /// No event will change anything any more.
        case forget
    }
}
