import JSONText
import Legacy
import Reactor

/// An answer to an older client that is being made: to a POST with requests, or the stream on which the client listens.
final class OlderAnswer: Answerer {
    private let deadline: Deadline
    private let ended = Wakeup()
    private let clientRequest: ClientRequest
    private var patience: Duration?
    private(set) var isOver = false
    /// Whether its client has gone.
    private(set) var hasLeft = false
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
        responder.begin(for: self)
    }

    private var responder: Responder { clientRequest.responder }

    /// Begins the stream, rather than with its first message.
    func begin() { responder.beginStream() }

    /// Sends a message before the last one.
    func send(_ text: [UInt8]) {
        if isOver { return }
        clientRequest.notifications += 1
        responder.send(text)
    }

    /// Sends the last message: as a JSON document, where there was none before.
    func finish(_ text: [UInt8]) {
        if isOver { return }
        clientRequest.finish(.answered(Answer(status: 200, text: SplicedText(text), code: nil)))
        over()
    }

    /// Ends with an error of Remora's own.
    func finish(_ refusal: Refusal, rawID: [UInt8]?) {
        if isOver { return }
        clientRequest.rawID = rawID.map { $0[...] }
        clientRequest.finish(.refused(refusal))
        over()
    }

    /// What was seen of the server, for the log.
    func failed(_ error: BackendError) { clientRequest.failed(error) }

    /// Ends the stream without a further message.
    func end() {
        if isOver { return }
        clientRequest.finish(.streamEnded)
        let onLeave = onLeave
        over()
        onLeave?()
    }

    /// Has ``onExpiry`` called when nothing was sent for so long.
    func expire(after time: Duration) {
        patience = time
        deadline.set(after: time)
    }

    /// Something was sent.
    func renew() { if let patience { deadline.set(after: patience) } }

    private func over() {
        isOver = true
        deadline.set(nil)
        onLeave = nil
        deadline.onExpiry = nil
        ended.signal()
    }

    func clientLeft() {
        if isOver { return }
        hasLeft = true
        clientRequest.failed(.clientLeft)
        clientRequest.finish(.abandoned)
        let onLeave = onLeave
        over()
        onLeave?()
    }

    /// Waits until it is over.
    func wait() async { while !isOver { await ended.wait() } }

    /// Waits until the client has taken enough of what was sent.
    func room() async {
        if !isOver, !responder.hasRoom { await responder.room() }
    }
}
