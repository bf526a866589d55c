import HTTPTransport
import HTTPWire
import Reactor

/// Tells one other replica or loop the cues of this one: the first at once, and what comes meanwhile together.
final class CueSender {
    /// Between two batches, as between two cues to a listener.
    private static let pause: Duration = .milliseconds(100)

    private let loop: Loop
    private let deliver: ([PeerCue]) async -> Void
    private var queue = CueQueue()
    private var isSending = false

    init(on loop: Loop, deliver: @escaping ([PeerCue]) async -> Void) {
        self.loop = loop
        self.deliver = deliver
    }

    func add(_ cue: PeerCue) {
        queue.add(cue)
        guard !isSending else { return }
        isSending = true
        loop.spawn { await self.send() }
    }

    private func send() async {
        while !queue.isEmpty {
            await deliver(queue.take())
            await Pause(on: loop).wait(CueSender.pause)
        }
        isSending = false
    }
}

/// The answer to a batch of cues, which says nothing.
final class PeerReply: HTTPResponseHandler {
    /// A replica that takes longer has other troubles.
    private static let patience: Duration = .seconds(2)

    private let wakeup = Wakeup()
    private var isOver = false

    /// Returns when the message was taken, or was not: whoever cannot be reached has no use for it.
    static func send(_ message: HTTPMessage, to peer: PeerDestination) async {
        guard let connection = try? await peer.connect() else { return }
        let reply = PeerReply()
        connection.setTimeout(peer.loop.now + patience)
        connection.send(message, answersTo: reply)
        while !reply.isOver { await reply.wakeup.wait() }
        connection.close()
    }

    func received(_ head: HTTPResponseHead) {}

    func received(body: Span<UInt8>) {}

    func finished() { end() }

    func failed(_ error: HTTPClientError) { end() }

    private func end() {
        isOver = true
        wakeup.signal()
    }
}
