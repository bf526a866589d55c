/// Searches and comparisons that look at eight bytes at a time.
///
/// Plain 64-bit arithmetic: lane-wise comparisons of `SIMD16<UInt8>` compile to a loop over the lanes. Each mask below
/// has the top bit of a byte set where the byte matches. Its lowest set bit is always right; a borrow can set wrong
/// bits only above it, and only the lowest is ever used.
extension Span<UInt8> {
    /// The first CR, LF or other control character except HTAB in `start..<end`, or `end`.
    @inline(__always)
    func firstControl(from start: Int, to end: Int) -> Int {
        var cursor = start
        while true {
            cursor = first(from: cursor, to: end) { $0.mask(below: 0x20) | $0.mask(equalTo: 0x7F) }
            guard cursor < end, self[cursor] == ASCII.tab else { return cursor }
            cursor &+= 1
        }
    }

    /// CRLF is at `index`, which may be the end.
    @inline(__always)
    func hasLineEnd(at index: Int) -> Bool {
        index + 1 < count && self[index] == ASCII.cr && self[index + 1] == ASCII.lf
    }

    /// The first CR or LF in `start..<end`, or `end`.
    @inline(__always)
    func firstLineBreak(from start: Int, to end: Int) -> Int {
        first(from: start, to: end) { $0.mask(equalTo: ASCII.lf) | $0.mask(equalTo: ASCII.cr) }
    }

    /// The first `byte` in `start..<end`, or `end`.
    @inline(__always)
    func first(_ byte: UInt8, from start: Int, to end: Int) -> Int {
        first(from: start, to: end) { $0.mask(equalTo: byte) }
    }

    /// Where the token that starts at `start` ends: at the first byte that is no token character, or at `count`.
    @inline(__always)
    func tokenEnd(from start: Int) -> Int {
        // Letters and hyphens, which names are made of, in strides; what else a token may have is rare.
        var cursor = first(from: start, to: count) { $0.maskOfOtherThanLettersAndHyphens }
        while cursor < count, self[cursor].isTokenCharacter { cursor &+= 1 }
        return cursor
    }

    /// The same bytes but for the case of ASCII letters.
    func equalsIgnoringCase(_ other: borrowing Span<UInt8>) -> Bool {
        guard count == other.count else { return false }
        if count >= 8 {
            var cursor = 0
            while cursor &+ 8 < count {
                guard word(at: cursor).equalsIgnoringCase(other.word(at: cursor)) else { return false }
                cursor &+= 8
            }
            // The last word, which may begin before the cursor.
            return word(at: count &- 8).equalsIgnoringCase(other.word(at: count &- 8))
        }
        for index in indices where self[index] != other[index] {
            guard self[index].lowercased == other[index].lowercased else { return false }
        }
        return true
    }

    /// The first byte in `start..<end` that `mask` marks, or `end`.
    @inline(__always)
    private func first(from start: Int, to end: Int, mask: (UInt64) -> UInt64) -> Int {
        // The loads below do not check. Each caller has compared its range with the text, whatever is in it.
        precondition(0 <= start && start <= end && end <= count)
        var cursor = start
        while end &- cursor >= 8 {
            let matches = mask(word(at: cursor))
            if matches != 0 { return cursor &+ matches.trailingZeroBitCount &>> 3 }
            cursor &+= 8
        }
        if cursor == end { return end }
        if end >= 8 {
            // The last word again, without the bytes that were seen. The zeros that move in may match: they are past `end`.
            let seen = 8 &- (end &- cursor)
            let matches = mask(word(at: end &- 8) &>> UInt64(seen &* 8))
            return matches == 0 ? end : Swift.min(end, cursor &+ matches.trailingZeroBitCount &>> 3)
        }
        while cursor < end, mask(UInt64(self[cursor]) | 0x4141_4141_4141_4100) & 0x80 == 0 { cursor &+= 1 }
        return cursor
    }

    /// The eight bytes from `index`, the first one lowest. Every bit pattern is a valid integer. The bounds are not
    /// checked: both callers keep to a range that they have checked.
    @inline(__always)
    private func word(at index: Int) -> UInt64 {
        UInt64(littleEndian: bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: index, as: UInt64.self))
    }
}

extension UInt64 {
    private static var ones: UInt64 { 0x0101_0101_0101_0101 }
    private static var tops: UInt64 { 0x8080_8080_8080_8080 }

    /// Marks the bytes that are less than `limit`, which is at most 0x80.
    @inline(__always)
    fileprivate func mask(below limit: UInt8) -> UInt64 {
        (self &- Self.ones &* UInt64(limit)) & ~self & Self.tops
    }

    @inline(__always)
    fileprivate func mask(equalTo byte: UInt8) -> UInt64 {
        (self ^ (Self.ones &* UInt64(byte))).mask(below: 1)
    }

    @inline(__always)
    fileprivate var maskOfOtherThanLettersAndHyphens: UInt64 {
        let lowercase = self | Self.ones &* 0x20
        let others = lowercase.mask(below: 0x61) | (lowercase &+ Self.ones &* (0x7F - 0x7A) | lowercase) & Self.tops
        // Exact in every byte, unlike the others: a wrong bit would let a byte through.
        let difference = self ^ (Self.ones &* 0x2D)
        let hyphens = ~((difference & ~Self.tops) &+ ~Self.tops | difference) & Self.tops
        return others & ~hyphens
    }

    /// The same eight characters but for the case of ASCII letters?
    @inline(__always)
    fileprivate func equalsIgnoringCase(_ other: UInt64) -> Bool {
        let difference = self ^ other
        if difference == 0 { return true }
        let caseBits = Self.ones &* 0x20
        guard difference & ~caseBits == 0 else { return false }
        // Exact in every byte: seven bits and an addend below 0x80 carry into no other.
        let lowercase = self | caseBits
        let low = lowercase & ~Self.tops
        let letters = (low &+ Self.ones &* (0x80 - 0x61)) & ~(low &+ Self.ones &* (0x80 - 0x7B)) & ~lowercase
        return (difference &<< 2) & ~letters == 0
    }
}
