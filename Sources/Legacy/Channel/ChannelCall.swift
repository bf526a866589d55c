import MCP
import Reactor
import Translation

/// A call on a channel: its answer is told to it, by its id.
final class ChannelCall: LegacyCall {
    private let channel: Channel
    private let deadline: Deadline
    private let wakeup = Wakeup()
    private var reader: (any CallReader)?
    private var outcome: Result<CallReply, BackendError>?
    /// When it fails if it has no answer.
    private var end: Instant
    /// The longest silence while something is expected of the server; nil for the backend's own limit.
    private var silence: Duration?
    /// Whether the server waits for an answer of the client, so that nothing is expected of it.
    private var isSuspended = false
    /// Whether it went out, or a part of it.
    var wasSent = false

    init(_ terms: Terms, on channel: Channel) {
        self.channel = channel
        deadline = Deadline(on: channel.loop)
        end = terms.end
        super.init(terms)
        // The call has the deadline, which ends with it.
        deadline.onExpiry = { [unowned self] in timedOut() }
        extendTimeout()
    }

    override func waitForReply() async throws(BackendError) -> CallReply {
        defer { leaveChannel() }
        while true {
            if let outcome { return try outcome.get() }
            if hasRoom {
                await wakeup.wait()
            } else {
                // The silence is not the server's: it has to wait.
                deadline.set(isSuspended ? nil : end)
                await terms.observer?.waitForRoom()
                extendTimeout()
                channel.roomHasChanged()
            }
        }
    }

    /// Has ``waitForReply()`` wait until its client has taken enough.
    func lacksRoom() {
        wakeup.signal()
        tellReader()
    }

    private func tellReader() { if let reader = reader.take() { channel.loop.afterwards(reader) } }

    private func leaveChannel() {
        deadline.set(nil)
        channel.callEnded(self)
        terms.session.callEnded(self)
    }

    /// For a client that reads slowly a task has to wait.
    override func notifyReader(_ reader: any CallReader) -> Bool {
        guard outcome == nil, hasRoom else { return false }
        self.reader = reader
        return true
    }

    /// What has failed, and what leaves it open whether the session lives, is for ``answer()``.
    override func readyResponse() -> LegacyResponse? {
        guard case .success(.answer(let answer)) = outcome else { return nil }
        leaveChannel()
        return answer
    }

    override var mayHaveBeenSeen: Bool { wasSent }

    /// Whether its client has taken enough of what it was told.
    var hasRoom: Bool { outcome != nil || terms.observer?.hasRoom != false }

    /// Whether it has ended, though its outcome was not taken yet.
    override var isOver: Bool { outcome != nil }

    private func extendTimeout() {
        guard outcome == nil, !isSuspended else { return deadline.set(nil) }
        deadline.set(min(end, channel.loop.now + (silence ?? channel.limits.silence)))
    }

    private func timedOut() {
        let error =
            if !wasSent {
                BackendError(.unavailable, "the server did not take the request: it does not read")
            } else if end <= .now {
                BackendError(.overdue, "the call took longer than limits.request_timeout")
            } else {
                BackendError(.silent, "the server sent nothing for limits.backend_idle_timeout")
            }
        failCall(with: error)
        channel.callTimedOut()
    }

    override func suspendTimeout() {
        isSuspended = true
        extendTimeout()
    }

    override func resumeTimeout(until end: Instant, silence: Duration?) {
        isSuspended = false
        self.end = end
        self.silence = silence
        extendTimeout()
    }

    func responseArrived(_ answer: LegacyResponse) {
        do throws(BackendError) {
            replyArrived(try CallReply(answer))
        } catch {
            failCall(with: error)
        }
    }

    func replyArrived(_ reply: CallReply) { concludeReply(.success(reply)) }

    override func notificationArrived(_ notification: Envelope, _ kind: ServerNotification) {
        extendTimeout()
        super.notificationArrived(notification, kind)
        if !hasRoom { lacksRoom() }
    }

    override func failCall(with error: BackendError) { concludeReply(.failure(error)) }

    private func concludeReply(_ outcome: Result<CallReply, BackendError>) {
        guard self.outcome == nil else { return }
        self.outcome = outcome
        deadline.set(nil)
        wakeup.signal()
        channel.roomHasChanged()
        tellReader()
    }
}
