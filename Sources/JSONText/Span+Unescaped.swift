/// What stretches between the quotes of a validated text read as, once their escapes are resolved.
extension Span<UInt8> {
    /// ``unescaped(_:equals:)`` for what is known to have escapes or not: most names have none.
    @inline(__always)
    func reads(_ place: TextRange, isEscaped: Bool, as other: Span<UInt8>) -> Bool {
        if isEscaped { return unescaped(place.range, equals: other) }
        return place.count == other.count && extracting(place.range).isEqual(to: other)
    }

    /// Two stretches without escapes have the same bytes.
    @inline(__always)
    func reads(_ place: TextRange, equals other: TextRange) -> Bool {
        place.count == other.count && extracting(place.range).isEqual(to: extracting(other.range))
    }

    /// Compares the bytes of spans that are equally long, eight at a time.
    @inline(__always)
    func isEqual(to other: Span<UInt8>) -> Bool {
        // Every caller has looked; the loads below check their bounds all the same.
        guard count == other.count else { return false }
        if count >= 8 {
            // The last ones first: names of MCP have long beginnings in common. They may be compared twice.
            guard bytes.hasSame(UInt64.self, as: other.bytes, at: count - 8) else { return false }
            var position = 0
            while position < count - 8 {
                guard bytes.hasSame(UInt64.self, as: other.bytes, at: position) else { return false }
                position += 8
            }
            return true
        }
        if count >= 4 {
            return bytes.hasSame(UInt32.self, as: other.bytes, at: 0)
                && bytes.hasSame(UInt32.self, as: other.bytes, at: count - 4)
        }
        for index in 0..<count where self[index] != other[index] { return false }
        return true
    }

    func unescaped(_ range: Range<Int>, equals other: Span<UInt8>) -> Bool {
        var bytes = UnescapedBytes(range)
        for index in other.indices {
            guard bytes.nextByte(in: self) == other[index] else { return false }
        }
        return bytes.nextByte(in: self) == nil
    }

    func unescaped(_ range: Range<Int>, hasPrefix prefix: Span<UInt8>) -> Bool {
        var bytes = UnescapedBytes(range)
        for index in prefix.indices {
            guard bytes.nextByte(in: self) == prefix[index] else { return false }
        }
        return true
    }

    /// Both are stretches of validated text.
    func unescaped(_ range: Range<Int>, equals other: Span<UInt8>, _ otherRange: Range<Int>) -> Bool {
        var left = UnescapedBytes(range)
        var right = UnescapedBytes(otherRange)
        while let byte = left.nextByte(in: self) {
            guard right.nextByte(in: other) == byte else { return false }
        }
        return right.nextByte(in: other) == nil
    }

    /// By the order of the bytes; what is a prefix of the other comes first.
    func unescaped(_ range: Range<Int>, precedes other: Range<Int>) -> Bool {
        var left = UnescapedBytes(range)
        var right = UnescapedBytes(other)
        while let byte = left.nextByte(in: self) {
            guard let otherByte = right.nextByte(in: self) else { return false }
            if byte != otherByte {
                return byte < otherByte
            }
        }
        return right.nextByte(in: self) != nil
    }

    /// An escape in the stretch is a surrogate without its other half, which stands for no character.
    func hasUnpairedSurrogate(_ range: Range<Int>) -> Bool {
        var position = StringSearch.quoteOrBackslash(self, from: range.lowerBound)
        while position < range.upperBound {
            if UnescapedBytes.isUnpairedSurrogate(self, at: position) { return true }
            _ = UnescapedBytes.readEscape(self, at: &position)
            position = StringSearch.quoteOrBackslash(self, from: position)
        }
        return false
    }

    /// The first eight bytes as a number, of which a smaller one is of a name that precedes; with equal ones, look further.
    func unescapedPrefix(_ range: Range<Int>) -> UInt64 {
        var bytes = UnescapedBytes(range)
        var prefix: UInt64 = 0
        var count = 0
        while count < 8, let byte = bytes.nextByte(in: self) {
            prefix = prefix << 8 | UInt64(byte)
            count += 1
        }
        // None of the shifts is of all bits: those are not reached.
        return count == 0 ? 0 : prefix << UInt64(8 * (8 - count))
    }

    func unescaped(_ range: Range<Int>) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(range.count)
        var position = range.lowerBound
        while position < range.upperBound {
            let escape = Swift.min(StringSearch.quoteOrBackslash(self, from: position), range.upperBound)
            result.append(self, position..<escape)
            position = escape
            if position < range.upperBound {
                result.append(contentsOf: UnescapedBytes.readEscape(self, at: &position))
            }
        }
        return result
    }
}

extension RawSpan {
    /// The loads check their bounds.
    @inline(__always)
    fileprivate func hasSame<Word: FixedWidthInteger & BitwiseCopyable>(
        _: Word.Type, as other: RawSpan, at position: Int
    ) -> Bool {
        unsafeLoadUnaligned(fromByteOffset: position, as: Word.self)
            == other.unsafeLoadUnaligned(fromByteOffset: position, as: Word.self)
    }
}

extension [UInt8] {
    /// Appends a part of a span.
    mutating func append(_ span: Span<UInt8>, _ range: Range<Int>) {
        span.extracting(range).withUnsafeBufferPointer { append(contentsOf: $0) }
    }
}
