extension HTTPFields {
    /// Indexes the field lines of a head and copies it.
    ///
    /// - Parameters:
    ///   - bytes: Starts with the head, whose end is the first empty line; what is after that is not looked at.
    ///   - start: Where the first field line starts.
    ///   - maxLines: How many there may be.
    ///   - note: Is told of each field line.
    /// - Throws: Also when `bytes` ends before the head.
    @inline(__always)
    init(
        parsing bytes: borrowing Span<UInt8>, from start: Int, maxLines: Int,
        note: (Line, borrowing Span<UInt8>) throws(HTTPDecodeError) -> Void
    ) throws(HTTPDecodeError) {
        var lines: [Line] = []
        lines.reserveCapacity(min(maxLines, 16))
        var lengths: UInt64 = 0
        var cursor = start
        while !bytes.hasLineEnd(at: cursor) {
            let line = try Self.readLine(of: bytes, at: &cursor)
            if lines.count == maxLines { throw HTTPDecodeError(.tooManyFields) }
            try note(line, bytes)
            lines.append(line)
            lengths |= HTTPFields.lengthBit(line.name.count)
        }
        self.head = bytes.extracting(0..<cursor + 2).copied()
        self.lines = lines
        self.lengths = lengths
    }

    /// The field line at `cursor`, which moves behind its CRLF.
    @inline(__always)
    private static func readLine(of bytes: borrowing Span<UInt8>, at cursor: inout Int) throws(HTTPDecodeError) -> Line
    {
        let nameStart = cursor
        let nameEnd = bytes.tokenEnd(from: cursor)
        cursor = nameEnd
        if nameEnd == bytes.count { throw HTTPDecodeError(.truncated) }
        guard nameEnd > nameStart else {
            throw HTTPDecodeError(bytes[cursor].isHTTPSpace ? .obsoleteLineFolding : .invalidFieldName)
        }
        guard bytes[cursor] == ASCII.colon else {
            throw HTTPDecodeError(bytes[cursor].isHTTPSpace ? .spaceBeforeColon : .invalidFieldName)
        }
        let lineEnd = bytes.firstControl(from: cursor, to: bytes.count)
        guard bytes.hasLineEnd(at: lineEnd) else { throw HTTPDecodeError(.controlCharacter) }
        let value = bytes.trimmed(cursor + 1..<lineEnd)
        cursor = lineEnd + 2
        return Line(
            nameStart: UInt32(truncatingIfNeeded: nameStart), nameEnd: UInt32(truncatingIfNeeded: nameEnd),
            valueStart: UInt32(truncatingIfNeeded: value.lowerBound),
            valueEnd: UInt32(truncatingIfNeeded: value.upperBound))
    }
}
