/// Finds the end of a section of lines: a head or a trailer section, however the input is cut.
///
/// Keeps the bytes of an incomplete section and nothing else. Each byte is looked at once, so a peer that sends single
/// bytes costs no more than one that does not.
struct HeadCollector: Sendable {
    /// A complete section: all bytes with the empty line at its end.
    struct Section {
        var bytes: [UInt8]
        var lineCount: Int
    }

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

    /// The first line is not complete yet.
    var isInFirstLine: Bool { lineCount == 0 }

    /// Takes bytes from `input` up to the end of the section, or all that there are.
    ///
    /// - Parameters:
    ///   - maxBytes: What a section may have at most.
    ///   - maxLines: Lines with the first, without the empty one at the end.
    /// - Returns: The section if it is complete, else nil, and then `input` is consumed.
    /// - Throws: For a CR or LF that is alone, any other control character but HTAB, and a section beyond the limits:
    ///   ``HTTPDecodeError/Reason/headTooLarge`` or ``HTTPDecodeError/Reason/tooManyFields``.
    mutating func collect(
        _ input: borrowing Span<UInt8>, from offset: inout Int, maxBytes: Int, maxLines: Int, emptyStart: EmptyStart
    ) throws(HTTPDecodeError) -> Section? {
        var cursor = offset
        while cursor < input.count {
            let window = min(input.count - offset, maxBytes - held.count) + offset
            // A CR that ends what is held was found before; everything else that is held is done with.
            var lineEnd = cursor - 1
            if cursor > offset || held.last != ASCII.cr {
                lineEnd = input.firstControl(from: cursor, to: window)
                if lineEnd == window || (lineEnd == window - 1 && input[lineEnd] == ASCII.cr) {
                    guard window == input.count, window - offset < maxBytes - held.count else {
                        throw HTTPDecodeError(lineCount == 0 ? .startLineTooLong : .headTooLarge)
                    }
                    break
                }
                switch input[lineEnd] {
                case ASCII.cr: break
                case ASCII.lf: throw HTTPDecodeError(.bareLineFeed)
                default: throw HTTPDecodeError(.controlCharacter)
                }
            }
            guard input[lineEnd + 1] == ASCII.lf else { throw HTTPDecodeError(.bareCarriageReturn) }
            cursor = lineEnd + 2
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

    private mutating func takeSection(
        _ input: borrowing Span<UInt8>, from offset: inout Int, to end: Int
    ) -> Section {
        let tail = input.extracting(offset..<end)
        offset = end
        // Nearly always all of it came at once: one allocation of the right size.
        var bytes = held
        if bytes.isEmpty { bytes = tail.copied() } else { bytes.append(tail) }
        let section = Section(bytes: bytes, lineCount: lineCount)
        self = HeadCollector()
        return section
    }
}
