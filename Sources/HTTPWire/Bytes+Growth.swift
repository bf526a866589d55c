extension [UInt8] {
    /// Up to this size a buffer grows as arrays do.
    private static let largeSize = 256 * 1024
    /// The room that a larger one is given at once. To grow, an array is copied: with the usual doubling, a body of some MB
    /// is in memory almost twice at that moment, and the allocator may keep what it grew out of. What is reserved and not yet
    /// written takes no memory.
    private static let largeRoom = 16 * 1024 * 1024
    /// By how much a body grows at once that does not fit there.
    private static let largeGrowth = 8

    /// Appends to a buffer that may become large and never longer than `limit` bytes.
    package mutating func append(_ bytes: borrowing Span<UInt8>, upTo limit: Int) {
        let size = count + bytes.count
        if size > capacity, size > [UInt8].largeSize {
            let room = size > [UInt8].largeRoom ? size * [UInt8].largeGrowth : [UInt8].largeRoom
            reserveCapacity(Swift.max(size, Swift.min(limit, room)))
        }
        bytes.withUnsafeBufferPointer { append(contentsOf: $0) }
    }
}
