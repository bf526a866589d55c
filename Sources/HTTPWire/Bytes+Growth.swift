extension [UInt8] {
    /// Up to this size a buffer grows as arrays do.
    private static let largeSize = 256 * 1024
    /// By how much a larger one grows at once. To grow, an array is copied: with the usual doubling, a body of some MB
    /// is in memory almost twice at that moment. What is reserved and not yet written takes no memory.
    private static let largeGrowth = 8

    /// Appends to a buffer that may become large and never longer than `limit` bytes.
    package mutating func append(_ bytes: borrowing Span<UInt8>, upTo limit: Int) {
        let size = count + bytes.count
        if size > capacity, size > [UInt8].largeSize {
            reserveCapacity(Swift.max(size, Swift.min(limit, size * [UInt8].largeGrowth)))
        }
        bytes.withUnsafeBufferPointer { append(contentsOf: $0) }
    }
}
