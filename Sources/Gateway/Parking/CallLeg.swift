import HTTPWire
import Legacy
import Reactor
import Translation

/// A request of a client that waits for a call: the one that began it, or a retry with answers.
final class CallLeg {
    let id: Int
    let request: ModernRequest
    let fields: HTTPFields
    let caller: Caller
    let responder: Responder
    let capabilities: InputCapabilities
    /// When it has waited for long enough.
    let end: Instant
    private var notifications: NotificationTranslation
    private let finished = Wakeup()
    /// How many notifications went to the client.
    private(set) var forwarded = 0
    /// What it is answered with; nil while it waits.
    private(set) var outcome: Exchange.Outcome?
    /// How often the client was asked during the call so far, and how many questions this answer has; for the log.
    var rounds = 0
    var questions = 0
    /// How long the call has waited for its client so far.
    var parked: Duration = .zero

    /// Called when the client goes away.
    var onLeave: (() -> Void)?
    private var hasLeft = false

    init(
        _ id: Int, _ request: ModernRequest, _ fields: HTTPFields, from caller: Caller, to responder: Responder,
        until end: Instant
    ) {
        self.id = id
        self.request = request
        self.fields = fields
        self.caller = caller
        self.responder = responder
        self.end = end
        capabilities = InputCapabilities(request.clientCapabilities, in: request.document)
        notifications = NotificationTranslation(for: request)
    }

    var machineLeg: ParkedCall<Ending>.Leg { ParkedCall<Ending>.Leg(id: id, capabilities: capabilities) }

    /// Waits for the outcome.
    func wait() async -> Exchange.Outcome {
        while true {
            if let outcome { return outcome }
            await finished.wait()
        }
    }

    func finish(_ outcome: Exchange.Outcome) {
        guard self.outcome == nil else { return }
        self.outcome = outcome
        onLeave = nil
        finished.signal()
    }

    /// The client went away.
    func leave() {
        guard outcome == nil, !hasLeft else { return }
        hasLeft = true
        onLeave?()
        finish(.failed(BackendError(.cancelled, "the client went away")))
    }

    /// The server says something about the call.
    func hear(_ heard: Heard) {
        guard outcome == nil, responder.hasRoom, let text = notifications.modern(heard.message, heard.kind) else {
            return
        }
        forwarded += 1
        responder.send(text)
    }
}
