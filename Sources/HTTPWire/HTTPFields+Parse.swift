extension HTTPFields {
    /// Indexes the field lines of a complete head.
    ///
    /// - Parameters:
    ///   - head: A head that ``HeadCollector`` took from the input: CRs and LFs come only as pairs, other control
    ///     characters but HTAB do not occur, and an empty line ends it.
    ///   - start: Where the first field line starts.
    ///   - lineCount: How many lines to make room for.
    ///   - note: Is told of each field line.
    @inline(__always)
    init(
        parsing head: [UInt8], from start: Int, lineCount: Int,
        note: (Line, borrowing Span<UInt8>) throws(HTTPDecodeError) -> Void
    ) throws(HTTPDecodeError) {
        var lines: [Line] = []
        lines.reserveCapacity(lineCount)
        let bytes = head.span
        let end = bytes.count - 2
        var cursor = start
        while cursor < end {
            let line = try Self.line(of: bytes, at: &cursor)
            try note(line, bytes)
            lines.append(line)
        }
        self.head = head
        self.lines = lines
    }

    /// The field line at `cursor`, which moves behind its CRLF.
    @inline(__always)
    private static func line(of bytes: borrowing Span<UInt8>, at cursor: inout Int) throws(HTTPDecodeError) -> Line {
        let nameStart = cursor
        // At the CR at the end of the line, at the latest.
        let nameEnd = bytes.tokenEnd(from: cursor)
        cursor = nameEnd
        guard nameEnd > nameStart else {
            throw HTTPDecodeError(bytes[cursor].isHTTPSpace ? .obsoleteLineFolding : .invalidFieldName)
        }
        guard bytes[cursor] == ASCII.colon else {
            throw HTTPDecodeError(bytes[cursor].isHTTPSpace ? .spaceBeforeColon : .invalidFieldName)
        }
        let lineEnd = bytes.first(ASCII.cr, from: cursor, to: bytes.count)
        let value = bytes.trimmed(cursor + 1..<lineEnd)
        cursor = lineEnd + 2
        return Line(
            nameStart: UInt32(truncatingIfNeeded: nameStart), nameEnd: UInt32(truncatingIfNeeded: nameEnd),
            valueStart: UInt32(truncatingIfNeeded: value.lowerBound),
            valueEnd: UInt32(truncatingIfNeeded: value.upperBound))
    }
}
