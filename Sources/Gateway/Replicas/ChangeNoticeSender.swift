import Reactor

/// Sends the change notices of this loop to one other loop or replica: the first one at once, those that follow in
/// batches.
final class ChangeNoticeSender {
    /// Between two batches. Notices to a subscriber have the same distance.
    private static let pause: Duration = .milliseconds(100)

    private let loop: Loop
    private let deliver: ([PeerChangeNotice]) async -> Void
    private var queue = ChangeNoticeQueue()
    private var isSending = false

    init(on loop: Loop, deliver: @escaping ([PeerChangeNotice]) async -> Void) {
        self.loop = loop
        self.deliver = deliver
    }

    func addNotice(_ notice: PeerChangeNotice) {
        queue.addNotice(notice)
        guard !isSending else { return }
        isSending = true
        loop.spawn { await self.sendQueued() }
    }

    private func sendQueued() async {
        while !queue.isEmpty {
            await deliver(queue.takeBatch())
            await Pause(on: loop).waitFor(ChangeNoticeSender.pause)
        }
        isSending = false
    }
}
