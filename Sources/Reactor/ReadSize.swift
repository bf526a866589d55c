/// How many bytes are read at once: fewer where the reader takes long over them.
///
/// Bytes of small parts (a chunk or a line for each) take fifty times as long as the same number of bytes in one part, and a reader
/// decodes all that it is lent. What is not read stays with the kernel until the next turn.
struct ReadSize {
    /// The least that is read at once. What brings fewer bytes is not timed.
    static let least = 4096
    /// A reader that takes longer is lent half as much.
    private static let long = Interval(.microseconds(100))
    /// A reader that is quicker, for so many full reads in a row, is lent twice as much. The time is far less than half of `long`, so
    /// that the size comes to rest. The number is such that a peer cannot regain much by bytes that are quick to decode.
    private static let (short, quickReads) = (Interval(.microseconds(25)), 8)

    private(set) var bytes = Loop.receiveBufferSize
    private var quick = 0

    /// The reader has taken from `start` to `end` for what it was lent, `count` bytes.
    mutating func adapt(to count: Int, from start: Instant, to end: Instant) {
        if start + ReadSize.long < end {
            bytes = max(bytes / 2, ReadSize.least)
            quick = 0
        } else if end < start + ReadSize.short {
            guard count == bytes, bytes < Loop.receiveBufferSize else { return }
            quick += 1
            if quick < ReadSize.quickReads { return }
            bytes *= 2
            quick = 0
        } else {
            quick = 0
        }
    }
}
