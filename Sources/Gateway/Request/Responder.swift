import HTTPTransport
import HTTPWire
import JSONText
import Reactor

/// What is to be told when the client of a request goes away before it has its answer.
protocol Answerer: AnyObject {
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
    private var answerer: (any Answerer)?
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

    /// A new request is to be answered, and `answerer` is told if its client goes away.
    func begin(for answerer: any Answerer) {
        isAbandoned = false
        bytes = 0
        answers &+= 1
        self.answerer = answerer
        connection.onDisconnect = onDisconnect
        connection.watchSilence()
    }

    private func disconnected() {
        isAbandoned = true
        answerer.take()?.clientLeft()
        emptied.signal()
    }

    /// Nobody here makes the answer any more.
    func leave() {
        answerer = nil
        connection.ignoreSilence()
        // Whoever waits for room for it waits in vain.
        answers &+= 1
        emptied.signal()
    }

    /// Sends a message before the answer.
    func send(_ message: some HTTPBody) {
        beginStream()
        bytes += message.count
        connection.send(SSEEncoder.event(type: "message", data: message.slices))
    }

    /// Sends the answer. In a stream it is the last event, and status and fields have been decided already.
    func finish(_ response: consuming HTTPResponse, body: some HTTPBody) {
        leave()
        guard isStreaming else {
            bytes = body.count
            return connection.respond(response, body: body)
        }
        send(body)
        connection.endStream()
        isStreaming = false
    }

    /// Ends a stream without a further message.
    func endStream() {
        leave()
        beginStream()
        connection.endStream()
        isStreaming = false
    }

    /// Whether the client has taken enough of what was sent.
    var hasRoom: Bool { connection.unsentBytes <= maxUnsent || isAbandoned }

    /// Waits until the client has taken what was sent, or is gone, or the answer that is due now is over.
    func room() async {
        let answer = answers
        while connection.unsentBytes > 0, !isAbandoned, answers == answer { await emptied.wait() }
    }

    /// Whether something waits for the client to take it.
    var hasUnsent: Bool { connection.unsentBytes > 0 }

    /// Waits until the client has taken all that was sent, or is gone, or `wake` is called.
    func change() async { await emptied.wait() }

    func wake() { emptied.signal() }

    /// Makes the answer a stream before there is something to send.
    func beginStream() {
        if isStreaming { return }
        isStreaming = true
        connection.onTaken = { [unowned self] in emptied.signal() }
        connection.beginStream(Responder.streamResponse)
    }

    private func keepAlive() {
        // Somebody else makes the answer.
        guard answerer != nil else { return }
        beginStream()
        connection.send([SSEEncoder.keepAlive[...]])
    }
}
