/// Finding the next byte inside of a string that wants a look, sixteen bytes at a time.
enum StringSearch {
    /// Sixteen bytes, all ones where the search has found something.
    private typealias Mask = SIMDMask<SIMD16<Int8>>

    // Both sides of a comparison are spelled as vectors: with a number on one side the compiler picks an operator that
    // goes byte by byte, a hundred times slower.
    private static var quotes: SIMD16<UInt8> { SIMD16(repeating: .quote) }
    private static var backslashes: SIMD16<UInt8> { SIMD16(repeating: .backslash) }

    /// The next quote, backslash, control character or byte outside of ASCII; `text.count` when there is none.
    @inline(__always)
    static func nextSpecial(_ text: Span<UInt8>, from start: Int) -> Int {
        searchText(text, from: start) { block in
            // As signed numbers, bytes outside of ASCII are negative: one comparison finds them and the controls.
            let unusual = unsafeBitCast(block, to: SIMD16<Int8>.self) .< SIMD16<Int8>(repeating: 0x20)
            return block .== quotes .| block .== backslashes .| unusual
        } isMatch: { byte in
            byte == .quote || byte == .backslash || byte < 0x20 || byte >= 0x80
        }
    }

    /// The next quote or backslash; `text.count` when there is none.
    @inline(__always)
    static func quoteOrBackslash(_ text: Span<UInt8>, from start: Int) -> Int {
        searchText(text, from: start) { block in
            block .== quotes .| block .== backslashes
        } isMatch: { byte in
            byte == .quote || byte == .backslash
        }
    }

    /// The next byte that a string literal cannot have as it is; `text.count` when there is none.
    @inline(__always)
    static func nextEscapable(_ text: Span<UInt8>, from start: Int) -> Int {
        searchText(text, from: start) { block in
            block .== quotes .| block .== backslashes .| block .< SIMD16<UInt8>(repeating: 0x20)
        } isMatch: { byte in
            byte == .quote || byte == .backslash || byte < 0x20
        }
    }

    @inline(__always)
    private static func searchText(
        _ text: Span<UInt8>, from start: Int, matches: (SIMD16<UInt8>) -> Mask, isMatch: (UInt8) -> Bool
    ) -> Int {
        let bytes = text.bytes
        var position = start
        while text.count - position >= 16 {
            if let found = firstMarked(matches(loadBlock(bytes, at: position))) {
                return position + found
            }
            position += 16
            // Four at a time, once it is a long string.
            while position - start >= 64, text.count - position >= 64 {
                let early = matches(loadBlock(bytes, at: position)) .| matches(loadBlock(bytes, at: position + 16))
                let late = matches(loadBlock(bytes, at: position + 32)) .| matches(loadBlock(bytes, at: position + 48))
                guard firstMarked(early .| late) == nil else { break }
                position += 64
            }
        }
        while position < text.count, !isMatch(text[position]) {
            position += 1
        }
        return position
    }

    @inline(__always)
    private static func loadBlock(_ bytes: RawSpan, at position: Int) -> SIMD16<UInt8> {
        bytes.unsafeLoadUnaligned(fromByteOffset: position, as: SIMD16<UInt8>.self)
    }

    @inline(__always)
    private static func firstMarked(_ mask: Mask) -> Int? {
        let halves = unsafeBitCast(mask, to: SIMD2<UInt64>.self)
        if halves[0] != 0 {
            return UInt64(littleEndian: halves[0]).trailingZeroBitCount / 8
        }
        if halves[1] != 0 {
            return 8 + UInt64(littleEndian: halves[1]).trailingZeroBitCount / 8
        }
        return nil
    }
}
