import HTTPTransport
import Legacy
import Translation

/// Carries a call of a tool that runs as a task, in the place of the call that found that out.
protocol TaskCarrier: AnyObject {
    /// - Parameters:
    ///   - source: of which `request` was made.
    ///   - clientRequest: is finished by ``Carrier/endCarriedRequest(_:_:of:begins:)``.
    ///   - key: of the sessions that the request may use.
    func carryTask(
        _ request: ModernRequest, of source: HTTPServerRequest, from caller: Caller,
        answering clientRequest: ClientRequest, key: SessionKey)

    /// Makes a call that was sent a task, which has the call from then on. The former one ends with the task as its answer.
    ///
    /// - Parameters:
    ///   - id: of the call, and of its task.
    ///   - questions: what the server may ask the client, and has asked.
    /// - Returns: what its clients are told; nil where there is no room for a task, and nothing has changed.
    func promoteCall(
        _ call: some TranslatedCall, as id: CallID, asking questions: TaskQuestions
    ) -> (TaskDescription, ServerInfo)?
}

extension RequestOutcome {
    /// The call has become a task.
    static func task(
        _ task: TaskDescription, _ state: TaskState = .working, from serverInfo: ServerInfo,
        answering request: ModernRequest
    ) -> RequestOutcome {
        let text = TaskText.created(task, state, from: serverInfo, answering: request)
        return .answered(ModernResponse(status: 200, text: text, code: nil))
    }
}

/// Why a call is not sent as it is, by what is known of the tool.
enum Obstacle {
    case refused(Refusal)
    /// The tool runs as a task.
    case task
}
