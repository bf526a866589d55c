/// Takes an event stream apart into events (WHATWG HTML §9.2.6).
///
/// It departs from the standard in one way: an event that has an `id` or an empty `data` field, which a browser does not
/// dispatch, is reported with empty data. MCP servers send an event like this first, as a place to resume from.
///
/// Bytes are handed out as they came: who needs text decodes it. An event that the end of the stream cuts off is dropped
/// by dropping the decoder.
package struct SSEDecoder: ~Copyable, Sendable {
    /// The last event ID: what `Last-Event-ID` is when the stream is resumed. Empty if there is none.
    package private(set) var lastEventID: [UInt8] = []

    /// The newest reconnection time that the server asked for, in milliseconds.
    package private(set) var retry: Int?

    private let maxEvent: Int

    /// The bytes of an incomplete line that is no comment.
    private var held: [UInt8] = []
    /// The end of a comment has not come yet.
    private var isInComment = false
    /// How many bytes of a byte order mark have come at the start of the stream, or nil once that is decided.
    private var markLength: Int? = 0
    /// The input so far ended with CR: an LF that comes next belongs to it.
    private var skipsLineFeed = false
    private var failure: SSEDecodeError?

    // The event that is being read.
    private var type: [UInt8]?
    private var data: [UInt8]?
    private var id: [UInt8]?
    private var eventRetry: Int?

    /// Whether a complete line of an event has come, and not its end.
    private var hasFields: Bool { data != nil || type != nil || id != nil || eventRetry != nil }

    /// Whether a part of an event has come, and not its end. A comment is no part of one.
    package var isInsideEvent: Bool {
        data != nil || type != nil || id != nil || !held.isEmpty
    }

    /// - Parameter maxEvent: How many bytes an event may have: its type, data and id and the line that is being read.
    ///   Nothing more than that is held. Comments do not count and are not held.
    package init(maxEvent: Int) {
        // Of the configuration, which has checked it.
        precondition(maxEvent > 0, "no event fits")
        self.maxEvent = maxEvent
    }

    /// The next event in `input` from `offset`, which moves past what was consumed; nil when all of the input is.
    ///
    /// - Throws: ``SSEDecodeError`` for an event over the limit, and again in each call after that.
    package mutating func nextEvent(
        _ input: borrowing Span<UInt8>, from offset: inout Int
    ) throws(SSEDecodeError) -> SSEEvent? {
        if let failure { throw failure }
        if markLength != nil { skipByteOrderMark(input, from: &offset) }
        while offset < input.count {
            if skipsLineFeed {
                skipsLineFeed = false
                if input[offset] == ASCII.lf {
                    offset += 1
                    continue
                }
            }
            if held.isEmpty, !isInComment {
                offset = behindWhatSaysNothing(in: input, from: offset)
                if offset == input.count { return nil }
            }
            let lineEnd = input.firstLineBreak(from: offset, to: input.count)
            let rest = input.extracting(offset..<lineEnd)
            offset = lineEnd
            guard lineEnd < input.count else {
                try holdPart(rest)
                return nil
            }
            skipsLineFeed = input[lineEnd] == ASCII.cr
            offset += 1
            if skipsLineFeed, offset < input.count {
                skipsLineFeed = false
                if input[offset] == ASCII.lf { offset += 1 }
            }
            if isInComment {
                isInComment = false
            } else if !held.isEmpty {
                try holdPart(rest)
                try takeHeld()
            } else if rest.isEmpty {
                if hasFields, let event = endEvent() { return event }
            } else if rest[0] != ASCII.colon {
                try takeLine(line: rest)
            }
        }
        return nil
    }

    /// Where comments end that begin at a line's start `offset`, and empty lines that end no event: a server may send them without
    /// end, and each of them is to cost little. Of lines that end in CR alone the first is no such.
    @inline(__always)
    private func behindWhatSaysNothing(in input: borrowing Span<UInt8>, from offset: Int) -> Int {
        var cursor = offset
        while cursor < input.count {
            let isComment = input[cursor] == ASCII.colon
            let lineEnd = isComment ? input.firstLineBreak(from: cursor &+ 1, to: input.count) : cursor
            guard lineEnd < input.count, input[lineEnd] == ASCII.lf || input.hasLineEnd(at: lineEnd) else { break }
            if !isComment, hasFields { break }
            cursor = input[lineEnd] == ASCII.lf ? lineEnd &+ 1 : lineEnd &+ 2
        }
        return cursor
    }

    /// Keeps the part of a line that came before its end.
    private mutating func holdPart(_ part: borrowing Span<UInt8>) throws(SSEDecodeError) {
        if isInComment || part.isEmpty { return }
        if held.isEmpty, part[0] == ASCII.colon {
            isInComment = true
            return
        }
        try checkSize(adding: held.count + part.count)
        held.append(part, upTo: maxEvent)
    }

    /// Interprets the line that was kept. The data of a large event are all in one line: they stay where they are.
    private mutating func takeHeld() throws(SSEDecodeError) {
        var line: [UInt8] = []
        swap(&line, &held)
        guard data == nil, line.count > SSEDecoder.largeLine, line.span.extracting(..<5).equals("data:") else {
            return try takeLine(line: line.span)
        }
        line.removeFirst(line[5] == ASCII.space ? 6 : 5)
        data = line
    }

    /// From this length on a line is not copied.
    private static let largeLine = 64 * 1024

    /// Interprets a line that is complete, not empty and no comment.
    private mutating func takeLine(line: borrowing Span<UInt8>) throws(SSEDecodeError) {
        let nameEnd = line.first(ASCII.colon, from: 0, to: line.count)
        try checkSize(adding: line.count)
        var valueStart = min(nameEnd + 1, line.count)
        if valueStart < line.count, line[valueStart] == ASCII.space { valueStart += 1 }
        let name = line.extracting(0..<nameEnd)
        let value = line.extracting(valueStart..<line.count)
        if name.equals("data") {
            if data == nil {
                data = value.copied()
            } else {
                data?.append(ASCII.lf)
                data?.append(value)
            }
        } else if name.equals("event") {
            type = value.isEmpty || value.equals("message") ? nil : value.copied()
        } else if name.equals("id") {
            if value.first(ASCII.nul, from: 0, to: value.count) == value.count { id = value.copied() }
        } else if name.equals("retry"), let milliseconds = value.decimal {
            retry = milliseconds
            eventRetry = milliseconds
        }
    }

    /// An empty line ends the event, if there is one.
    private mutating func endEvent() -> SSEEvent? {
        defer { (type, data, id, eventRetry) = (nil, nil, nil, nil) }
        if let id { lastEventID = id }
        guard data != nil || id != nil else { return nil }
        return SSEEvent(type: type, data: data ?? [], id: id, retry: eventRetry)
    }

    private mutating func checkSize(adding count: Int) throws(SSEDecodeError) {
        let held = (type?.count ?? 0) + (data?.count ?? 0) + (id?.count ?? 0)
        guard count <= maxEvent - held else {
            let error = SSEDecodeError.eventTooLarge(limit: maxEvent)
            failure = error
            throw error
        }
    }

    /// Drops U+FEFF at the start of the stream. What only began like one is the start of a line.
    private mutating func skipByteOrderMark(_ input: borrowing Span<UInt8>, from offset: inout Int) {
        let mark: [3 of UInt8] = [0xEF, 0xBB, 0xBF]
        while let length = markLength, offset < input.count {
            if input[offset] == mark[length] {
                offset += 1
                markLength = length == 2 ? nil : length + 1
            } else {
                for index in 0..<length { held.append(mark[index]) }
                markLength = nil
            }
        }
    }
}
