/// Bytes of which the long parts may belong to other buffers.
///
/// These buffers are shared, not copied, so that a large payload goes from one socket to the next without a copy. Each part
/// carries its buffer: no place of one can be looked up in another. Short parts are copied: that costs less than to keep
/// track of them, and a message of ordinary size is one allocation.
package struct SplicedText: Sendable {
    /// Parts of other buffers up to this size are copied.
    static let maxCopied = 4096

    /// The bytes that are this text's own, in the order in which they came.
    private var own: [UInt8]
    /// What comes before the tail, in order. Ordinary texts are all tail.
    private var pieces: [Piece] = []
    /// The tail is what `own` holds from here on.
    private var tailStart = 0
    private var sharedCount = 0

    private enum Piece {
        /// A stretch of `own`, which only grows at its end once there are pieces.
        case own(Range<Int>)
        /// A part of another buffer, which it holds on to.
        case shared(ArraySlice<UInt8>)
    }

    /// Nothing yet.
    /// - Parameter capacity: how long it will be, about.
    package init(capacity: Int = 0) {
        own = []
        own.reserveCapacity(min(capacity, 2 * SplicedText.maxCopied))
    }

    /// The whole of a buffer.
    package init(_ bytes: [UInt8]) {
        if bytes.count <= SplicedText.maxCopied {
            own = bytes
        } else {
            own = []
            sharePart(bytes[...])
        }
    }

    /// How many bytes it is in all.
    package var count: Int { own.count + sharedCount }

    /// Continues with a part of a buffer.
    @inline(__always)
    mutating func keepRange(_ range: Range<Int>, of buffer: [UInt8]) {
        if range.count <= SplicedText.maxCopied {
            own.append(buffer.span, range)
        } else {
            sharePart(buffer[range])
        }
    }

    @inline(never)
    private mutating func sharePart(_ part: ArraySlice<UInt8>) {
        endTail()
        pieces.append(.shared(part))
        sharedCount += part.count
    }

    private mutating func endTail() {
        if tailStart < own.count { pieces.append(.own(tailStart..<own.count)) }
        tailStart = own.count
    }

    /// Puts text after what there is.
    @inline(__always)
    package mutating func append(_ text: StaticString) { own.append(text) }

    /// Puts a copy of bytes after what there is.
    @inline(__always)
    package mutating func append(_ bytes: [UInt8]) { append(bytes.span) }

    @inline(__always)
    mutating func append(_ bytes: Span<UInt8>) { own.append(bytes, 0..<bytes.count) }

    /// Puts a copy of a value, as it is spelled, after what there is.
    package mutating func append(_ value: JSONValue, of document: JSONDocument) {
        own.append(contentsOf: document.raw(value))
    }

    /// Puts an integer after what there is.
    package mutating func appendJSON(_ integer: Int) { own.appendJSON(integer) }

    /// Puts text before what there is.
    package mutating func prepend(_ text: StaticString) {
        text.withBytes { prepend($0) }
    }

    /// Puts a copy of bytes before what there is.
    package mutating func prepend(_ bytes: [UInt8]) {
        prepend(bytes.span)
    }

    private mutating func prepend(_ bytes: Span<UInt8>) {
        guard !bytes.isEmpty else { return }
        if pieces.isEmpty {
            bytes.withUnsafeBufferPointer { own.insert(contentsOf: $0, at: 0) }
        } else {
            endTail()
            append(bytes)
            pieces.insert(.own(tailStart..<own.count), at: 0)
            tailStart = own.count
        }
    }

    /// Appends the whole to a buffer: here the bytes are copied.
    package func append(to out: inout [UInt8]) {
        out.reserveCapacity(out.count + count)
        for piece in pieces {
            switch piece {
            case .own(let range): out.append(own.span, range)
            case .shared(let part): out.append(contentsOf: part)
            }
        }
        out.append(own.span, tailStart..<own.count)
    }

    /// The parts in order, as parts of the buffers that hold them: nothing is copied.
    package var slices: [ArraySlice<UInt8>] {
        var slices = pieces.map { piece in
            switch piece {
            case .own(let range): own[range]
            case .shared(let part): part
            }
        }
        if tailStart < own.count { slices.append(own[tailStart...]) }
        return slices
    }
}
