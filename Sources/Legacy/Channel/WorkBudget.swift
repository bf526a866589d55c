/// What one channel may have done in one turn of its loop. Whoever says more waits for the others' turn.
struct WorkBudget {
    /// As much as one receive brings, and few enough that others do not notice.
    private static let (messages, bytes) = (64, 64 * 1024)

    private var messagesLeft = WorkBudget.messages
    private var bytesLeft = WorkBudget.bytes

    var isSpent: Bool { messagesLeft <= 0 || bytesLeft <= 0 }

    /// A message of so many bytes was looked at.
    mutating func spend(_ bytes: Int) {
        messagesLeft -= 1
        bytesLeft -= bytes
    }
}
