/// Finding the next byte inside of a string that wants a look, sixteen bytes at a time.
enum StringSearch {
    /// The next quote, backslash, control character or byte outside of ASCII; `text.count` when there is none.
    @inline(__always)
    static func special(_ text: Span<UInt8>, from start: Int) -> Int {
        search(text, from: start) { bytes in
            // As signed numbers, what is outside of ASCII is negative: one comparison finds it and the controls.
            (bytes .== .quote) .| (bytes .== .backslash) .| (SIMD16<Int8>(truncatingIfNeeded: bytes) .< 0x20)
        } isMatch: { byte in
            byte == .quote || byte == .backslash || byte < 0x20 || byte >= 0x80
        }
    }

    /// The next quote or backslash; `text.count` when there is none.
    @inline(__always)
    static func quoteOrBackslash(_ text: Span<UInt8>, from start: Int) -> Int {
        search(text, from: start) { bytes in
            (bytes .== .quote) .| (bytes .== .backslash)
        } isMatch: { byte in
            byte == .quote || byte == .backslash
        }
    }

    /// The next byte that a string literal cannot have as it is; `text.count` when there is none.
    @inline(__always)
    static func escapable(_ text: Span<UInt8>, from start: Int) -> Int {
        search(text, from: start) { bytes in
            (bytes .== .quote) .| (bytes .== .backslash) .| (bytes .< 0x20)
        } isMatch: { byte in
            byte == .quote || byte == .backslash || byte < 0x20
        }
    }

    @inline(__always)
    private static func search(
        _ text: Span<UInt8>, from start: Int,
        matches: (SIMD16<UInt8>) -> SIMDMask<SIMD16<Int8>>, isMatch: (UInt8) -> Bool
    ) -> Int {
        var position = start
        let bytes = text.bytes
        while text.count - position >= 16 {
            let block = bytes.unsafeLoadUnaligned(fromByteOffset: position, as: SIMD16<UInt8>.self)
            let found = unsafeBitCast(matches(block), to: SIMD2<UInt64>.self)
            if found[0] != 0 {
                return position + UInt64(littleEndian: found[0]).trailingZeroBitCount / 8
            }
            if found[1] != 0 {
                return position + 8 + UInt64(littleEndian: found[1]).trailingZeroBitCount / 8
            }
            position += 16
        }
        while position < text.count, !isMatch(text[position]) {
            position += 1
        }
        return position
    }
}
