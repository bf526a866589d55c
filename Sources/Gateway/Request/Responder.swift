import HTTPTransport
import HTTPWire
import JSONText
import Reactor

/// What is to be told when the client of a request goes away before it has its answer.
protocol ResponseProducer: AnyObject {
    func clientLeft()
}

/// The way of answers to one client's connection: each is one JSON document, or an event stream as soon as there is
/// something to say before the answer, or nothing was said for a while (2026-07-28, basic/transports/streamable-http,
/// "Sending Messages to the Server").
final class Responder {
    /// `X-Accel-Buffering`: a proxy before Remora that gathers events would make progress useless.
    private static let streamResponse = HTTPResponse(
        status: 200, contentType: "text/event-stream",
        fields: [("cache-control", Array("no-cache".utf8)), ("x-accel-buffering", Array("no".utf8))])

    let connection: HTTPServerConnection
    private let maxUnsent: Int
    /// Signalled when the client has taken something, or is gone, and when an answer is over.
    private let emptied = Wakeup()
    /// Who makes the answer that is due.
    private var producer: (any ResponseProducer)?
    /// Answers that were due so far.
    private var answers = 0
    /// Made once: each request needs it.
    private var onDisconnect: () -> Void = {}
    /// Whether an answer was begun as a stream and has not ended.
    private(set) var isStreaming = false
    private var isAbandoned = false
    /// Bytes of the messages that were sent in this answer.
    private(set) var bytes = 0

    /// - Parameter maxUnsent: bytes that may wait for the client before the server has to.
    init(on connection: HTTPServerConnection, maxUnsent: Int) {
        self.connection = connection
        self.maxUnsent = maxUnsent
        onDisconnect = { [unowned self] in disconnected() }
        connection.onSilence = { [unowned self] in keepAlive() }
    }

    /// A new request is to be answered, and `producer` is told if its client goes away.
    func beginResponse(for answerer: any ResponseProducer) {
        isAbandoned = false
        bytes = 0
        answers &+= 1
        self.producer = answerer
        connection.onDisconnect = onDisconnect
        connection.watchSilence()
    }

    private func disconnected() {
        isAbandoned = true
        producer.take()?.clientLeft()
        emptied.signal()
    }

    /// The response is not made here any more.
    func leaveResponse() {
        producer = nil
        connection.ignoreSilence()
        // Tasks that wait for room for it go on.
        answers &+= 1
        emptied.signal()
    }

    /// Sends a message before the answer.
    func sendMessage(_ message: some HTTPBody) {
        beginStream()
        bytes += message.count
        connection.sendPart(SSEEncoder.event(type: "message", data: message.slices))
    }

    /// Sends the answer. In a stream it is the last event, and status and fields have been decided already.
    func finishResponse(_ response: consuming HTTPResponse, body: some HTTPBody) {
        leaveResponse()
        guard isStreaming else {
            bytes = body.count
            return connection.respond(response, body: body)
        }
        sendMessage(body)
        connection.endStream()
        isStreaming = false
    }

    /// Ends a stream without a further message.
    func endStream() {
        leaveResponse()
        beginStream()
        connection.endStream()
        isStreaming = false
    }

    /// Whether the client has taken enough of what was sent.
    var hasRoom: Bool { connection.unsentBytes <= maxUnsent || isAbandoned }

    /// Waits until the client has taken what was sent, or is gone, or the answer that is due now is over.
    func waitUntilTaken() async {
        let answer = answers
        while connection.unsentBytes > 0, !isAbandoned, answers == answer { await emptied.wait() }
    }

    /// Whether something waits for the client to take it.
    var hasUnsent: Bool { connection.unsentBytes > 0 }

    /// Waits until the client has taken all that was sent, or is gone, or `wakeWaiters` is called.
    func waitForChange() async { await emptied.wait() }

    func wakeWaiters() { emptied.signal() }

    /// Makes the answer a stream before there is something to send.
    func beginStream() {
        if isStreaming { return }
        isStreaming = true
        connection.onTaken = { [unowned self] in emptied.signal() }
        connection.beginStream(Responder.streamResponse)
    }

    private func keepAlive() {
        // The response is made elsewhere.
        guard producer != nil else { return }
        beginStream()
        connection.sendPart([SSEEncoder.keepAlive[...]])
    }
}
