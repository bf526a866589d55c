/// Writes an event stream (WHATWG HTML §9.2.5).
package enum SSEEncoder {
    /// One event, as parts of which those that hold data are parts of `data`: nothing of it is copied.
    ///
    /// - Parameters:
    ///   - type: Nil for the default, `message`. A constant without line breaks.
    ///   - data: Any bytes, in order. CR, LF and CRLF in it start another `data` line, and so arrive as LF.
    package static func event(type: StaticString? = nil, data: [ArraySlice<UInt8>]) -> [ArraySlice<UInt8>] {
        var parts: [ArraySlice<UInt8>] = []
        parts.reserveCapacity(data.count + 2)
        var start: [UInt8] = []
        if let type {
            start.append("event: ")
            start.append(type)
            start.append("\n")
        }
        start.append("data: ")
        parts.append(start[...])
        var endsWithCR = false
        for slice in data {
            append(slice, to: &parts, &endsWithCR)
        }
        parts.append(eventEnd)
        return parts
    }

    /// - Parameter endsWithCR: whether a line break stands at the end of what came before, to which an LF belongs.
    private static func append(
        _ slice: ArraySlice<UInt8>, to parts: inout [ArraySlice<UInt8>], _ endsWithCR: inout Bool
    ) {
        let bytes = slice.span
        var start = 0
        while start < bytes.count {
            let end = bytes.firstLineBreak(from: start, to: bytes.count)
            if end > start {
                parts.append(slice[slice.startIndex + start..<slice.startIndex + end])
                endsWithCR = false
            }
            if end == bytes.count { return }
            // The LF of a pair: its line was begun at the CR.
            if !(endsWithCR && bytes[end] == ASCII.lf) { parts.append(newLine) }
            endsWithCR = bytes[end] == ASCII.cr
            start = end + 1
        }
    }

    private static let newLine = Array("\ndata: ".utf8)[...]
    private static let eventEnd = Array("\n\n".utf8)[...]

    /// An empty comment, which keeps the connection from looking idle.
    package static let keepAlive = Array(":\n\n".utf8)
}
