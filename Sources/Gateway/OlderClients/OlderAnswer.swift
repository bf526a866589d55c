import HTTPTransport
import Legacy
import Reactor

/// An answer to an older client that is being made: to a POST with requests, or the stream on which the client listens.
final class OlderAnswer: Answerer {
    private let responder: Responder
    private let deadline: Deadline
    private let ended = Wakeup()
    private let record: RequestRecord
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

    init(by responder: Responder, _ record: RequestRecord, on loop: Loop) {
        self.responder = responder
        self.record = record
        deadline = Deadline(on: loop)
        responder.begin(for: self)
    }

    /// Begins the stream, rather than with its first message.
    func begin() { responder.beginStream() }

    /// Sends a message before the last one.
    func send(_ text: [UInt8]) {
        if isOver { return }
        record.notifications += 1
        responder.send(text)
    }

    /// Sends the last message: as a JSON document, where there was none before.
    func finish(_ text: [UInt8], status: Int = 200, fields: [(name: StaticString, value: [UInt8])] = []) {
        if isOver { return }
        record.status = status
        responder.finish(HTTPResponse(status: status, contentType: "application/json", fields: fields), body: text)
        record.responseBytes = responder.bytes
        over()
    }

    /// Ends with an error of Remora's own.
    func finish(_ refusal: Refusal, rawID: [UInt8]?) {
        if isOver { return }
        record.code = refusal.code
        record.side = refusal.side
        finish(refusal.text(id: rawID.map { $0[...] }), status: refusal.status, fields: refusal.fields)
    }

    /// What was seen of the server, for the log.
    func failed(_ error: BackendError) { record.failed(error) }

    /// Ends the stream without a further message.
    func end() {
        if isOver { return }
        record.status = 200
        responder.endStream()
        record.responseBytes = responder.bytes
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
        record.failed(.clientLeft)
        record.status = 499
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
