import Reactor

/// What a reader of a server's messages may take in one turn of its loop. A server that says more waits for the turn of the others.
struct WorkBudget {
    /// As much as one receive brings, and few enough that others do not notice.
    private static let (messages, bytes): (Int32, Int32) = (64, 64 * 1024)

    /// When the turn began that the rest is of.
    private var turn = Instant(nanoseconds: 0)
    private var messagesLeft: Int32 = 0
    private var bytesLeft: Int32 = 0

    /// Whether one more message may be taken in the turn that began at `now`.
    mutating func allowsMore(at now: Instant) -> Bool {
        if turn != now {
            turn = now
            (messagesLeft, bytesLeft) = (WorkBudget.messages, WorkBudget.bytes)
        }
        return messagesLeft > 0
    }

    /// A message was taken.
    mutating func spendMessage() { messagesLeft -= 1 }

    /// A message of so many bytes was taken.
    mutating func spendMessage(_ bytes: Int) {
        guard bytes < bytesLeft else { return messagesLeft = 0 }
        messagesLeft -= 1
        bytesLeft -= Int32(bytes)
    }
}
