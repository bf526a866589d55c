/// What a decoder accepts at most. A peer that goes over gets an ``HTTPDecodeError``; nothing is held beyond these.
package struct HTTPLimits: Sendable, Equatable {
    /// Bytes of a start line and its field lines with all line ends. Room for a large token in `Authorization` and for
    /// cookies; other servers allow 8 to 32 KiB.
    package var maxHead = 16_384

    /// Field lines in a head or a trailer section. Browsers send about 20.
    package var maxFields = 100

    /// Bytes of a chunk-size line without its line end. Extensions are ignored, so long ones are of no use.
    package var maxChunkLine = 256

    /// Bytes of a trailer section with all line ends. Trailers are dropped after a check.
    package var maxTrailer = 4096

    /// The defaults.
    package init() {}

    /// Limits are our own: one that makes no sense is a bug. A head is indexed with 32 bits.
    func checkLimits() {
        // Of the configuration, which has checked them.
        precondition((16...1 << 30).contains(maxHead) && (2...1 << 30).contains(maxTrailer), "a limit out of range")
        // The defaults: nothing sets others.
        precondition((0...1 << 20).contains(maxFields) && (1...1 << 20).contains(maxChunkLine), "a limit out of range")
    }
}
