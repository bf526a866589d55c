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
}

/// Why a call is not sent as it is, by what is known of the tool.
enum Obstacle {
    case refused(Refusal)
    /// The tool runs as a task.
    case task
}
