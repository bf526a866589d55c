import MCP
import Translation

/// Errors about questions to the client and the retries that answer them (2026-07-28, basic/patterns/mrtr).
extension Refusal {
    /// Always the same, whatever is wrong: an answer that depends on it would help to forge one.
    static let invalidRequestState = Refusal(
        status: 200, code: ErrorCode.invalidParams,
        message: "Invalid or expired requestState. Send the request again without requestState and inputResponses.")

    static func wrongAnswer(_ flaw: InputFlaw) -> Refusal {
        Refusal(status: 200, code: ErrorCode.invalidParams, message: "A wrong answer: \(flaw.advice)")
    }

    /// Of `tools/call` there is a result instead that the model reads, ``interactionLostText``.
    static let interactionLost = Refusal(
        status: 200, reason: "interaction_lost", dispatched: true, message: interactionLostText, side: .remora)

    static let interactionLostText =
        "The interaction was lost before it came to an end, and the operation may have partly run: "
        + "check before you call again."

    /// Of `tools/call` there is a result instead, ``declinedText``.
    static let declined = Refusal(status: 200, code: ErrorCode.internalError, message: declinedText)

    static let declinedText =
        "The call was not run: the user declined to open a page that the server needs visited first."

    static let tooManyRetries = Refusal(
        status: 503, reason: "busy", dispatched: false,
        message: "Too many requests wait for this call already. The answers of this one were not delivered. "
            + "Wait for one of the others, or send it again later.",
        retryAfter: 2, side: .remora)

    /// Another replica goes on with the call, or has its answers.
    static let heldElsewhere = Refusal(
        status: 503, reason: "held_elsewhere", dispatched: true,
        message: "Another replica has this call, or answers to these questions, and was not reached. The answers of "
            + "this request were not delivered, and the call may run there. Send the same request again in 5 seconds, and do not "
            + "call anew: it tells what became of the call once that replica can be reached, or is known to have ended.",
        retryAfter: 5, side: .remora)

    /// With a store, no replica delivers answers before the store has said that it is the only one.
    ///
    /// - Parameter isHere: whether the call is here. Else it may run at another replica.
    static func answersNotClaimed(isHere: Bool) -> Refusal {
        Refusal(
            status: 503, reason: "store_unavailable", dispatched: !isHere,
            message: "The store of the replicas did not say which of them has this call. The answers of this request "
                + "were not delivered, so that none is delivered twice. "
                + (isHere ? "The call waits for them. " : "The call may run at another replica: do not call anew. ")
                + "Send the same request again in 5 seconds. If it stays so, who operates Remora has to look after the "
                + "store: the log says why.",
            retryAfter: 5, side: .remora)
    }

    /// - Parameter hasRun: whether the call ran until it asked, and is not here any more.
    static func tooManyParked(hasRun: Bool) -> Refusal {
        Refusal(
            status: 503, reason: "busy", dispatched: hasRun,
            message: "Too many calls wait for answers of their clients. "
                + (hasRun
                    ? "The answers of this request were not delivered. The call may have partly run before it asked."
                    : "Nothing was run.")
                + " Try again later, or answer the questions that are open.",
            retryAfter: 2, side: .remora)
    }
}
