import HTTPTransport
import Legacy
import Reactor
import Translation

/// A request of a client that waits for a call: the one that began it, or a retry with answers.
final class CallLeg: ResponseProducer {
    /// Who brought a request.
    enum Origin {
        case client
        /// Another replica, which has said of which client it is.
        case replica
    }

    private enum Phase {
        case waiting
        case answered
        /// Its client went away: before it was part of a call, perhaps.
        case left
    }

    let id: Int
    let request: ModernRequest
    /// As it came.
    let source: HTTPServerRequest
    let clientRequest: ClientRequest
    let capabilities: ClientProfiles.Declaration
    /// When it has waited for long enough.
    let end: Instant
    private lazy var notifications = NotificationTranslation(for: request)
    /// How many notifications went to the client.
    private(set) var forwarded = 0
    private var phase = Phase.waiting
    /// How often the client was asked during the call so far, and how many questions this answer has; for the log.
    var rounds = 0
    var questions = 0
    /// How long the call has waited for its client so far.
    var parked: Duration = .zero

    /// What it waits for.
    var call: InteractiveCall?
    /// Where it came from, if it can be brought on from here.
    let origin: Origin?
    private let carrier: Carrier
    /// Whether the call begins with it. Else it goes on with one.
    private let begins: Bool

    /// - Parameters:
    ///   - source: of which `request` was made.
    ///   - carrier: ends it.
    ///   - begins: whether it begins a call.
    init(
        _ id: Int, _ request: ModernRequest, of source: HTTPServerRequest, answering clientRequest: ClientRequest,
        capabilities: ClientProfiles.Declaration, until end: Instant, endedBy carrier: Carrier, begins: Bool,
        from origin: Origin? = nil
    ) {
        self.origin = origin
        self.id = id
        self.request = request
        self.source = source
        self.clientRequest = clientRequest
        self.end = end
        self.capabilities = capabilities
        self.carrier = carrier
        self.begins = begins
    }

    /// Whether its client went away.
    var hasLeft: Bool { phase == .left }

    var responder: Responder { clientRequest.responder }

    var machineLeg: ParkedCall<Ending>.Leg { ParkedCall<Ending>.Leg(id: id, capabilities: capabilities.ofClient) }

    /// Answers it.
    func finishLeg(_ outcome: RequestOutcome) {
        guard phase == .waiting else { return }
        phase = .answered
        endWaiting(outcome)
    }

    private func endWaiting(_ outcome: RequestOutcome) {
        call = nil
        // The call need not wait for this client any more.
        responder.wakeWaiters()
        clientRequest.describeParking(rounds: rounds, questions: questions, parked: parked)
        clientRequest.notifications = forwarded
        carrier.endCarriedRequest(clientRequest, outcome, of: source, begins: begins)
    }

    /// What carries calls of tools that run as tasks.
    var taskCarrier: (any TaskCarrier)? { carrier.tasks }

    /// Another answers its request.
    func giveAwayRequest() {
        phase = .answered
        call = nil
    }

    /// Another loop or replica is about to answer it. Returns whether one can: not where an answer has begun here.
    func beginForwarding() -> Bool {
        guard phase == .waiting, !responder.isStreaming else { return false }
        responder.leaveResponse()
        return true
    }

    /// Another loop or replica has answered it; nil: it was not reached, and this loop answers.
    func endForwarding(_ answer: (status: Int, bytes: Int)?) {
        guard let answer else { return responder.beginResponse(for: self) }
        phase = .answered
        carrier.endForwardedRequest(clientRequest, status: answer.status, bytes: answer.bytes)
    }

    /// The client went away.
    func clientLeft() {
        guard phase == .waiting else { return }
        phase = .left
        call?.detachLeg(self)
        endWaiting(.failed(.clientLeft))
    }

    /// Waits until its client has taken what was sent, or gets nothing more.
    func waitUntilSent() async { while phase == .waiting, responder.hasUnsent { await responder.waitForChange() } }

    /// The server says something about the call.
    func relayNotification(_ heard: Heard) {
        guard phase == .waiting, responder.hasRoom,
            let text = notifications.modernNotification(heard.message, heard.kind)
        else {
            return
        }
        forwarded += 1
        responder.sendMessage(text)
    }
}
