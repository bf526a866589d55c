/// Messages that wait for their reader, in the order in which they came: nearly always one, which takes no array.
///
/// To take one out costs the same however many wait, and lets go of its memory.
struct MessageQueue {
    /// What a message takes in memory beside its bytes: the head of its array, what the allocator rounds up, and its place
    /// here. A peer that sends many small ones is to be held up by what they take, and not by what they say.
    static let overhead = 64
    /// Places that were left are given back when there are so many, and they are half of all.
    private static let maxLeft = 32

    private var first: [UInt8]?
    private var rest: [[UInt8]] = []
    /// How many places at the start of ``rest`` have been left.
    private var left = 0
    /// What the messages take in memory.
    private(set) var heldBytes = 0

    var isEmpty: Bool { first == nil }

    mutating func append(_ message: [UInt8]) {
        heldBytes += message.count + MessageQueue.overhead
        if first == nil { first = message } else { rest.append(message) }
    }

    mutating func popFirst() -> [UInt8]? {
        guard let message = first.take() else { return nil }
        heldBytes -= message.count + MessageQueue.overhead
        if left < rest.count { first = takeNext() }
        return message
    }

    /// The first of ``rest`` that is still there.
    private mutating func takeNext() -> [UInt8] {
        var message: [UInt8] = []
        swap(&message, &rest[left])
        left += 1
        if left == rest.count {
            rest.removeAll(keepingCapacity: left <= MessageQueue.maxLeft)
            left = 0
        } else if left >= MessageQueue.maxLeft, left >= rest.count / 2 {
            rest.removeFirst(left)
            left = 0
        }
        return message
    }
}
