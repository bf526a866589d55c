/// Writes an event stream (WHATWG HTML §9.2.5).
package enum SSEEncoder {
    /// One event, as parts of which those that hold data are parts of `data`: nothing of it is copied, but for parts with line
    /// breaks.
    ///
    /// - Parameters:
    ///   - type: Nil for the default, `message`. A constant without line breaks.
    ///   - data: JSON, in parts. A CR or an LF, which stands between tokens there, becomes a space: it would begin another line
    ///     of the stream, and a text may consist of nothing else.
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
        for slice in data where !slice.isEmpty { parts.append(dataLine(slice)) }
        parts.append(eventEnd)
        return parts
    }

    private static func dataLine(_ slice: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        let bytes = slice.span
        if bytes.firstLineBreak(from: 0, to: bytes.count) == bytes.count { return slice }
        return slice.map { $0 == ASCII.lf || $0 == ASCII.cr ? ASCII.space : $0 }[...]
    }

    private static let eventEnd = Array("\n\n".utf8)[...]

    /// An empty comment, which keeps the connection from looking idle.
    package static let keepAlive = Array(":\n\n".utf8)
}
