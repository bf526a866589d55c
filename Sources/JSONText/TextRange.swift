/// A stretch of a document, in half the size of a range: values are handed around a lot, and one that fits in registers
/// costs less.
struct TextRange: Equatable, Sendable {
    /// A text has to be this short, or its places could not be told.
    static let maxOffset = Int(UInt32.max)

    private let start: UInt32
    private let end: UInt32

    /// - Parameter range: ends at ``maxOffset`` or before.
    @inline(__always)
    init(_ range: Range<Int>) {
        start = UInt32(range.lowerBound)
        end = UInt32(range.upperBound)
    }

    @inline(__always)
    var range: Range<Int> {
        Int(start)..<Int(end)
    }

    @inline(__always)
    var count: Int {
        Int(end) - Int(start)
    }
}
