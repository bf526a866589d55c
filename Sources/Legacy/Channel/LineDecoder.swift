import HTTPTransport

/// Takes what a child writes apart into lines, without their ends (2025-11-25, basic/transports, "stdio").
struct LineDecoder {
    /// A line over the limit.
    struct TooLong: Error {}

    private let maxLine: Int
    private var held: [UInt8] = []

    /// - Parameter maxLine: bytes of a line. No more than that is held.
    init(maxLine: Int) { self.maxLine = maxLine }

    /// The next line in `input` from `offset`, which moves past what was consumed; nil when all of the input is.
    mutating func nextLine(_ input: borrowing Span<UInt8>, from offset: inout Int) throws(TooLong) -> [UInt8]? {
        let start = offset
        let end = input.firstLineFeed(from: start)
        guard held.count + (end ?? input.count) - start <= maxLine else { throw TooLong() }
        offset = input.count
        held.append(input, start..<(end ?? input.count))
        guard let end else { return nil }
        offset = end + 1
        var line: [UInt8] = []
        swap(&line, &held)
        if line.last == UInt8(ascii: "\r") { line.removeLast() }
        return line
    }

    /// What the end of the stream leaves: a line without an end, or nothing.
    mutating func finishLine() -> [UInt8]? {
        defer { held = [] }
        return held.isEmpty ? nil : held
    }
}

extension Span<UInt8> {
    fileprivate func firstLineFeed(from start: Int) -> Int? {
        var index = start
        while index < count {
            if self[index] == UInt8(ascii: "\n") { return index }
            index += 1
        }
        return nil
    }
}
