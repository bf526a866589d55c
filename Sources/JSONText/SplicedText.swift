/// Bytes that are parts of one buffer with other bytes between them.
///
/// The buffer is shared, not copied, so that a large payload goes from one socket to the next without a copy; what is
/// inserted is kept apart, and should be small.
package struct SplicedText: Sendable {
    /// The buffer whose parts these are.
    package let source: [UInt8]

    /// How many bytes it is in all.
    package private(set) var count: Int

    private var inserted: [UInt8]
    private var pieces: [Piece]

    private struct Piece {
        var range: Range<Int>
        var isInserted: Bool
    }

    /// The whole of a buffer, with nothing inserted.
    package init(_ bytes: [UInt8]) {
        self.init(source: bytes, inserted: [])
        keep(0..<bytes.count)
    }

    /// Nothing yet.
    /// - Parameter inserted: what `insert` will refer to.
    init(source: [UInt8], inserted: [UInt8]) {
        self.source = source
        self.inserted = inserted
        self.count = 0
        pieces = []
        pieces.reserveCapacity(8)
    }

    /// Continues with a part of the source.
    mutating func keep(_ range: Range<Int>) {
        add(Piece(range: range, isInserted: false))
    }

    /// Continues with a part of what was handed to the initialiser as inserted.
    mutating func insert(_ range: Range<Int>) {
        add(Piece(range: range, isInserted: true))
    }

    private mutating func add(_ piece: Piece) {
        guard !piece.range.isEmpty else { return }
        count += piece.range.count
        if let last = pieces.last, last.isInserted == piece.isInserted,
            last.range.upperBound == piece.range.lowerBound
        {
            pieces[pieces.count - 1].range = last.range.lowerBound..<piece.range.upperBound
        } else {
            pieces.append(piece)
        }
    }

    /// Puts text after what there is.
    package mutating func append(_ text: StaticString) {
        text.withBytes { append($0) }
    }

    /// Puts a copy of bytes after what there is.
    package mutating func append(_ bytes: [UInt8]) {
        append(bytes.span)
    }

    private mutating func append(_ bytes: Span<UInt8>) {
        let start = inserted.count
        inserted.append(bytes, 0..<bytes.count)
        insert(start..<inserted.count)
    }

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
        let start = inserted.count
        inserted.append(bytes, 0..<bytes.count)
        pieces.insert(Piece(range: start..<inserted.count, isInserted: true), at: 0)
        count += bytes.count
    }

    /// Appends the whole to a buffer: here the bytes are copied.
    package func append(to out: inout [UInt8]) {
        out.reserveCapacity(out.count + count)
        for piece in pieces {
            out.append(piece.isInserted ? inserted.span : source.span, piece.range)
        }
    }

    /// The pieces in order, as parts of the buffers that hold them: nothing is copied.
    package var slices: [ArraySlice<UInt8>] {
        pieces.map { ($0.isInserted ? inserted : source)[$0.range] }
    }
}
