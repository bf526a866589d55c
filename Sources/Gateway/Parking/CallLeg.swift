import HTTPTransport
import Legacy
import Reactor
import Translation

/// A request of a client that waits for a call: the one that began it, or a retry with answers.
final class CallLeg: Answerer {
    let id: Int
    let request: ModernRequest
    /// As it came.
    let source: HTTPServerRequest
    let clientRequest: ClientRequest
    let capabilities: ClientProfiles.Declaration
    /// When it has waited for long enough.
    let end: Instant
    private lazy var notifications = NotificationTranslation(for: request)
    private var finished: Wakeup?
    /// How many notifications went to the client.
    private(set) var forwarded = 0
    /// What it is answered with; nil while it waits.
    private(set) var outcome: RequestOutcome?
    /// How often the client was asked during the call so far, and how many questions this answer has; for the log.
    var rounds = 0
    var questions = 0
    /// How long the call has waited for its client so far.
    var parked: Duration = .zero

    /// What it waits for.
    var call: InteractiveCall?
    /// Answers it, where nobody waits for its outcome in a task.
    var carrier: Carrier?
    /// Whether its client went away: before it was part of a call, perhaps.
    private(set) var hasLeft = false

    init(
        _ id: Int, _ request: ModernRequest, of source: HTTPServerRequest, answering clientRequest: ClientRequest,
        capabilities: ClientProfiles.Declaration, until end: Instant
    ) {
        self.id = id
        self.request = request
        self.source = source
        self.clientRequest = clientRequest
        self.end = end
        self.capabilities = capabilities
    }

    var responder: Responder { clientRequest.responder }

    var machineLeg: ParkedCall<Ending>.Leg { ParkedCall<Ending>.Leg(id: id, capabilities: capabilities.ofClient) }

    /// Waits for the outcome.
    func wait() async -> RequestOutcome {
        while true {
            if let outcome { return outcome }
            let finished = finished ?? Wakeup()
            self.finished = finished
            await finished.wait()
        }
    }

    func finish(_ outcome: RequestOutcome) {
        guard self.outcome == nil else { return }
        self.outcome = outcome
        call = nil
        finished?.signal()
        // The call need not wait for this client any more.
        responder.wake()
        carrier.take()?.end(self, outcome)
    }

    /// The client went away.
    func clientLeft() {
        guard outcome == nil, !hasLeft else { return }
        hasLeft = true
        call?.left(self)
        finish(.failed(.clientLeft))
    }

    /// Waits until its client has taken what was sent, or gets nothing more.
    func room() async { while outcome == nil, responder.hasUnsent { await responder.change() } }

    /// The server says something about the call.
    func hear(_ heard: Heard) {
        guard outcome == nil, responder.hasRoom, let text = notifications.modern(heard.message, heard.kind) else {
            return
        }
        forwarded += 1
        responder.send(text)
    }
}
