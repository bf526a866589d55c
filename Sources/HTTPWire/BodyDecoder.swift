/// Finds the pieces and the end of one body (RFC 9112 §6, §7.1). Holds a few numbers, no bytes.
struct BodyDecoder: Sendable {
    enum Step {
        case needMoreInput
        case bytes(Range<Int>)
        case end
    }

    private enum State {
        /// So many bytes are still to come; then the body ends.
        case fixed(Int)
        /// Only the end of the connection ends the body.
        case untilClose
        /// In the digits of a chunk size. Next: `chunkExtension`, `chunkSizeEnd`.
        case chunkSize(value: Int, hasDigits: Bool)
        /// In the whitespace after a chunk size. Next: `chunkExtension`.
        case chunkSpace(size: Int)
        /// In a chunk extension. Next: `chunkSizeEnd`.
        case chunkExtension(size: Int)
        /// Before the LF of a chunk-size line. Next: `chunkData`, and after the last chunk `trailer`.
        case chunkSizeEnd(size: Int)
        /// So many bytes of the chunk are still to come. Next: `chunkDataEnd`.
        case chunkData(Int)
        /// Before the CR or the LF behind chunk data. Next: `chunkSize`.
        case chunkDataEnd(hasCR: Bool)
        /// In the trailer section; then the body ends.
        case trailer
    }

    private var state: State
    /// Bytes of the current chunk-size line so far.
    private var lineLength = 0

    init(_ length: HTTPBodyLength) {
        switch length {
        case .none: state = .fixed(0)
        case .bytes(let count): state = .fixed(count)
        case .chunked: state = .chunkSize(value: 0, hasDigits: false)
        case .untilClose: state = .untilClose
        }
    }

    var isUntilClose: Bool {
        if case .untilClose = state { true } else { false }
    }

    /// The next piece of the body in `input`.
    ///
    /// - Parameter collector: Holds an incomplete trailer section; empty until then.
    mutating func nextPiece(
        _ input: borrowing Span<UInt8>, from offset: inout Int, limits: HTTPLimits, collector: inout HeadCollector
    ) throws(HTTPDecodeError) -> Step {
        while true {
            switch state {
            case .fixed(0):
                return .end
            case .fixed(let remaining):
                guard let range = takeData(remaining, of: input, from: &offset) else { return .needMoreInput }
                state = .fixed(remaining - range.count)
                return .bytes(range)
            case .untilClose:
                guard let range = takeData(.max, of: input, from: &offset) else { return .needMoreInput }
                return .bytes(range)
            case .chunkData(let remaining):
                guard let range = takeData(remaining, of: input, from: &offset) else { return .needMoreInput }
                state = stateBehind(range.count, of: remaining, input, from: &offset)
                return .bytes(range)
            case .trailer:
                let isComplete = try takeTrailer(of: input, from: &offset, limits: limits, collector: &collector)
                return isComplete ? .end : .needMoreInput
            case .chunkSize, .chunkSpace, .chunkExtension, .chunkSizeEnd, .chunkDataEnd:
                guard offset < input.count else { return .needMoreInput }
                if let size = sizeLine(in: input, from: &offset, limits: limits) {
                    state = size == 0 ? .trailer : .chunkData(size)
                    continue
                }
                state = try nextState(after: input[offset], limits: limits)
                offset += 1
            }
        }
    }

    private func takeData(_ wanted: Int, of input: borrowing Span<UInt8>, from offset: inout Int) -> Range<Int>? {
        let count = min(wanted, input.count - offset)
        guard count > 0 else { return nil }
        defer { offset += count }
        return offset..<offset + count
    }

    /// What a part of a chunk leads to, and the end of its line with it where that has come: a peer may send each byte as a chunk.
    @inline(__always)
    private mutating func stateBehind(
        _ count: Int, of remaining: Int, _ input: borrowing Span<UInt8>, from offset: inout Int
    ) -> State {
        if count < remaining { return .chunkData(remaining - count) }
        guard input.hasLineEnd(at: offset) else { return .chunkDataEnd(hasCR: false) }
        offset += 2
        lineLength = 0
        return .chunkSize(value: 0, hasDigits: false)
    }

    /// The size of the next chunk, where all of its line has come and has few digits and nothing else; nil where it goes byte by byte.
    @inline(__always)
    private func sizeLine(in input: borrowing Span<UInt8>, from offset: inout Int, limits: HTTPLimits) -> Int? {
        guard case .chunkSize(0, hasDigits: false) = state else { return nil }
        let most = min(BodyDecoder.fewDigits, limits.maxChunkLine)
        var (size, end) = (0, offset)
        while end < input.count, end &- offset < most, let digit = input[end].hexValue {
            size = size &<< 4 | digit
            end &+= 1
        }
        guard end > offset, input.hasLineEnd(at: end) else { return nil }
        offset = end &+ 2
        return size
    }

    /// No size of so many digits is too large.
    private static let fewDigits = 8

    /// What one byte of the framing around chunk data leads to.
    private mutating func nextState(after byte: UInt8, limits: HTTPLimits) throws(HTTPDecodeError) -> State {
        if case .chunkDataEnd(let hasCR) = state {
            guard byte == (hasCR ? ASCII.lf : ASCII.cr) else { throw HTTPDecodeError(.missingChunkEnd) }
            lineLength = 0
            return hasCR ? .chunkSize(value: 0, hasDigits: false) : .chunkDataEnd(hasCR: true)
        }
        if case .chunkSizeEnd(let size) = state {
            guard byte == ASCII.lf else { throw HTTPDecodeError(.bareCarriageReturn) }
            return size == 0 ? .trailer : .chunkData(size)
        }
        if byte == ASCII.lf { throw HTTPDecodeError(.bareLineFeed) }
        if byte != ASCII.cr {
            lineLength += 1
            if lineLength > limits.maxChunkLine { throw HTTPDecodeError(.chunkLineTooLong) }
        }
        switch state {
        case .chunkSize(let value, let hasDigits):
            if let digit = byte.hexValue {
                guard value <= Int.max >> 4 else { throw HTTPDecodeError(.invalidChunkSize) }
                return .chunkSize(value: value << 4 | digit, hasDigits: true)
            }
            guard hasDigits else { throw HTTPDecodeError(.invalidChunkSize) }
            switch byte {
            case ASCII.cr: return .chunkSizeEnd(size: value)
            case ASCII.semicolon: return .chunkExtension(size: value)
            case ASCII.space, ASCII.tab: return .chunkSpace(size: value)
            default: throw HTTPDecodeError(.invalidChunkSize)
            }
        case .chunkSpace(let size):
            // Whitespace may come before an extension (RFC 9112 §7.1.1), not before the end of the line.
            if byte.isHTTPSpace { return state }
            guard byte == ASCII.semicolon else { throw HTTPDecodeError(.invalidChunkSize) }
            return .chunkExtension(size: size)
        case .chunkExtension(let size):
            if byte == ASCII.cr { return .chunkSizeEnd(size: size) }
            guard byte >= 0x20 && byte != 0x7F || byte == ASCII.tab else { throw HTTPDecodeError(.controlCharacter) }
            return state
        case .fixed, .untilClose, .chunkData, .trailer, .chunkSizeEnd, .chunkDataEnd:
            // None of these goes byte by byte.
            throw HTTPDecodeError(.invalidChunkSize)
        }
    }

    /// Checks a trailer section and drops it (RFC 9112 §7.1.2). Returns true when it is complete.
    private func takeTrailer(
        of input: borrowing Span<UInt8>, from offset: inout Int, limits: HTTPLimits, collector: inout HeadCollector
    ) throws(HTTPDecodeError) -> Bool {
        let section: [UInt8]?
        do {
            section = try collector.collectHead(
                input, from: &offset, maxBytes: limits.maxTrailer, maxLines: limits.maxFields, emptyStart: .complete)
        } catch {
            let isTooLarge = error.reason == .startLineTooLong || error.reason == .headTooLarge
            throw isTooLarge ? HTTPDecodeError(.trailerTooLarge) : error
        }
        guard let section else { return false }
        // A field that frames or routes a message means nothing here (RFC 9110 §6.5.1), so none is told.
        _ = try HTTPFields(parsing: section.span, from: 0, maxLines: limits.maxFields) { _, _ in }
        return true
    }
}
