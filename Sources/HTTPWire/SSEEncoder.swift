/// Writes an event stream (WHATWG HTML §9.2.5).
package enum SSEEncoder {
    /// Appends one event.
    ///
    /// - Parameters:
    ///   - type: Nil for the default, `message`. A constant without line breaks.
    ///   - data: Any bytes. CR, LF and CRLF in it start another `data` line, and so arrive as LF.
    package static func append(type: StaticString? = nil, data: borrowing Span<UInt8>, to output: inout [UInt8]) {
        if let type {
            output.append("event: ")
            output.append(type)
            output.append("\n")
        }
        var start = 0
        while true {
            let end = data.firstLineBreak(from: start, to: data.count)
            output.append("data: ")
            output.append(data.extracting(start..<end))
            output.append("\n")
            if end == data.count { break }
            let isPair = data[end] == ASCII.cr && end + 1 < data.count && data[end + 1] == ASCII.lf
            start = end + (isPair ? 2 : 1)
        }
        output.append("\n")
    }

    /// Appends an empty comment, which keeps the connection from looking idle.
    package static func appendKeepAlive(to output: inout [UInt8]) { output.append(":\n\n") }
}
