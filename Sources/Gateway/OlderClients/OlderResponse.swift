import JSONText
import Legacy
import Reactor

/// An answer to an older client that is being made: to a POST with requests, or the stream on which the client listens.
final class OlderResponse: ResponseProducer {
    private enum Phase {
        case open
        /// It has ended, or its client has left.
        case over
        case left
    }

    private let deadline: Deadline
    private let ended = Wakeup()
    private let clientRequest: ClientRequest
    private var patience: Duration?
    private var phase = Phase.open
    /// Called when the stream ends without a last message: because the client goes away, or to have it open another.
    var onLeave: (() -> Void)?
    /// Called when the server has let the time for the answer pass.
    var onExpiry: (() -> Void)? {
        get { deadline.onExpiry }
        set { deadline.onExpiry = newValue }
    }

    init(to clientRequest: ClientRequest, on loop: Loop) {
        self.clientRequest = clientRequest
        deadline = Deadline(on: loop)
        responder.beginResponse(for: self)
    }

    var isOver: Bool { phase != .open }

    /// Whether its client has left.
    var hasLeft: Bool { phase == .left }

    private var responder: Responder { clientRequest.responder }

    /// Begins the stream, rather than with its first message.
    func beginStream() { responder.beginStream() }

    /// Sends a message before the last one.
    func sendMessage(_ text: [UInt8]) {
        if isOver { return }
        clientRequest.notifications += 1
        responder.sendMessage(text)
    }

    /// Sends the last message: as a JSON document, where there was none before.
    func finishWithMessage(_ text: [UInt8]) {
        if isOver { return }
        clientRequest.finishRequest(.answered(ModernResponse(status: 200, text: SplicedText(text), code: nil)))
        concludeResponse()
    }

    /// Ends with an error of Remora's own.
    func finishWithRefusal(_ refusal: Refusal, rawID: [UInt8]?) {
        if isOver { return }
        clientRequest.rawID = rawID.map { $0[...] }
        clientRequest.finishRequest(.refused(refusal))
        concludeResponse()
    }

    /// What was seen of the server, for the log.
    func noteFailure(_ error: BackendError) { clientRequest.noteFailure(error) }

    /// Ends the stream without a further message.
    func endStream() {
        if isOver { return }
        clientRequest.finishRequest(.streamEnded)
        let onLeave = onLeave
        concludeResponse()
        onLeave?()
    }

    /// Has ``onExpiry`` called when nothing was sent for so long.
    func expireWhenIdle(after time: Duration) {
        patience = time
        deadline.set(after: time)
    }

    /// Something was sent.
    func renewDeadline() { if let patience { deadline.set(after: patience) } }

    private func concludeResponse() {
        if phase == .open { phase = .over }
        deadline.set(nil)
        onLeave = nil
        deadline.onExpiry = nil
        ended.signal()
    }

    func clientLeft() {
        if isOver { return }
        phase = .left
        clientRequest.noteFailure(.clientLeft)
        clientRequest.finishRequest(.abandoned)
        let onLeave = onLeave
        concludeResponse()
        onLeave?()
    }

    /// Waits until it is over.
    func waitForEnd() async { while !isOver { await ended.wait() } }

    /// Waits until the client has taken enough of what was sent.
    func waitForClient() async {
        if !isOver, !responder.hasRoom { await responder.waitUntilTaken() }
    }
}
