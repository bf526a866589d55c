import HTTPTransport
import HTTPWire
import Reactor

/// Tells one other replica or loop the cues of this one: the first at once, and what comes meanwhile together.
final class ChangeNoticeSender {
    /// Between two batches, as between two cues to a listener.
    private static let pause: Duration = .milliseconds(100)

    private let loop: Loop
    private let deliver: ([PeerChangeNotice]) async -> Void
    private var queue = ChangeNoticeQueue()
    private var isSending = false

    init(on loop: Loop, deliver: @escaping ([PeerChangeNotice]) async -> Void) {
        self.loop = loop
        self.deliver = deliver
    }

    func add(_ notice: PeerChangeNotice) {
        queue.add(notice)
        guard !isSending else { return }
        isSending = true
        loop.spawn { await self.sendQueued() }
    }

    private func sendQueued() async {
        while !queue.isEmpty {
            await deliver(queue.take())
            await Pause(on: loop).wait(ChangeNoticeSender.pause)
        }
        isSending = false
    }
}

/// The answer to a request between replicas of which only the status matters.
final class PeerStatusRequest: HTTPResponseHandler {
    /// A replica that takes longer has other troubles.
    static let patience: Duration = .seconds(2)

    private let wakeup = Wakeup()
    private var isOver = false
    private var status: Int?

    /// Sends a request on a connection that has none.
    ///
    /// - Returns: the status of the answer; nil where none came, or not all of it, in ``patience``.
    static func send(_ message: HTTPMessage, on connection: HTTPClientConnection, _ loop: Loop) async -> Int? {
        let reply = PeerStatusRequest()
        connection.setTimeout(loop.now + patience)
        connection.send(message, answersTo: reply)
        while !reply.isOver { await reply.wakeup.wait() }
        return reply.status
    }

    func received(_ head: HTTPResponseHead) { status = head.status }

    func received(body: Span<UInt8>) {}

    func finished() { end() }

    func failed(_ error: HTTPClientError) {
        status = nil
        end()
    }

    private func end() {
        isOver = true
        wakeup.signal()
    }
}
