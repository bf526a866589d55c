/// Finds the end of a section of lines: a head or a trailer section, however the input is cut.
///
/// Keeps the bytes of an incomplete section and nothing else. Each byte is looked at once, so a peer that sends single
/// bytes costs no more than one that does not.
struct HeadCollector: Sendable {
    /// What an empty line in place of the first line means.
    enum EmptyStart {
        /// Skip a few (RFC 9112 §2.2, for requests).
        case skip
        /// It is the whole section.
        case complete
        /// The peer breaks the protocol.
        case refuse(HTTPDecodeError.Reason)
    }

    /// The bytes of the incomplete section. Only at its end can a CR be whose LF has not come yet.
    private var held: [UInt8] = []
    /// Complete lines of the section so far.
    private var lineCount = 0
    /// Where in the section the current line starts.
    private var lineStart = 0
    private var skippedLines = 0

    private static let maxSkippedLines = 4

    /// Nothing of a section has come yet.
    var isEmpty: Bool { held.isEmpty }

    /// Not even an empty line before a section.
    var isUntouched: Bool { held.isEmpty && skippedLines == 0 }

    /// The first line is not complete yet.
    var isInFirstLine: Bool { lineCount == 0 }

    /// Takes bytes from `input` up to the end of the section, or all that there are.
    ///
    /// - Parameters:
    ///   - maxBytes: What a section may have at most.
    ///   - maxLines: Lines with the first, without the empty one at the end.
    /// - Returns: The section, with the empty line at its end, if it is complete; else nil, and then `input` is consumed.
    /// - Throws: For a CR or LF that is alone, any other control character but HTAB, and a section beyond the limits:
    ///   ``HTTPDecodeError/Reason/startLineTooLong``, ``HTTPDecodeError/Reason/headTooLarge`` or
    ///   ``HTTPDecodeError/Reason/tooManyFields``.
    mutating func collectHead(
        _ input: borrowing Span<UInt8>, from offset: inout Int, maxBytes: Int, maxLines: Int, emptyStart: EmptyStart
    ) throws(HTTPDecodeError) -> [UInt8]? {
        var cursor = offset
        while let lineEnd = try lineEnd(in: input, from: cursor, sectionFrom: offset, maxBytes: maxBytes) {
            cursor = lineEnd
            let sectionEnd = held.count + cursor - offset
            guard sectionEnd == lineStart + 2 else {
                lineStart = sectionEnd
                lineCount += 1
                if lineCount > maxLines { throw HTTPDecodeError(.tooManyFields) }
                continue
            }
            if lineCount > 0 { return takeSection(input, from: &offset, to: cursor) }
            switch emptyStart {
            case .complete:
                return takeSection(input, from: &offset, to: cursor)
            case .refuse(let reason):
                throw HTTPDecodeError(reason)
            case .skip:
                skippedLines += 1
                if skippedLines > Self.maxSkippedLines { throw HTTPDecodeError(.tooManyEmptyLines) }
                held = []
                offset = cursor
            }
        }
        if offset < input.count {
            held.append(input.extracting(offset..<input.count))
            offset = input.count
        }
        return nil
    }

    /// Where the line that goes on at `cursor` ends, behind its CRLF; nil if the input ends first.
    ///
    /// - Parameter start: Where in the input the section goes on that ``held`` begins.
    @inline(__always)
    private func lineEnd(
        in input: borrowing Span<UInt8>, from cursor: Int, sectionFrom start: Int, maxBytes: Int
    ) throws(HTTPDecodeError) -> Int? {
        if cursor == input.count { return nil }
        if cursor == start, held.last == ASCII.cr {
            guard input[cursor] == ASCII.lf else { throw HTTPDecodeError(.bareCarriageReturn) }
            return cursor + 1
        }
        let room = maxBytes - held.count
        let window = min(input.count, start + room)
        let found = input.firstControl(from: cursor, to: window)
        if found + 1 < window, input[found] == ASCII.cr {
            guard input[found + 1] == ASCII.lf else { throw HTTPDecodeError(.bareCarriageReturn) }
            return found + 2
        }
        if found < window, input[found] != ASCII.cr {
            throw HTTPDecodeError(input[found] == ASCII.lf ? .bareLineFeed : .controlCharacter)
        }
        guard window < start + room else { throw HTTPDecodeError(lineCount == 0 ? .startLineTooLong : .headTooLarge) }
        return nil
    }

    private mutating func takeSection(
        _ input: borrowing Span<UInt8>, from offset: inout Int, to end: Int
    ) -> [UInt8] {
        let tail = input.extracting(offset..<end)
        offset = end
        var section = held
        section.append(tail)
        self = HeadCollector()
        return section
    }
}
