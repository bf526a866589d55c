/// The framing of a chunked body (RFC 9112 §7.1). A chunk is header, data, end; the last chunk ends the body.
package enum HTTPChunk {
    /// Appends the size line before `count` bytes of data. `count` is over 0: a chunk of no bytes would end the body.
    package static func appendHeader(count: Int, to output: inout [UInt8]) {
        // No peer decides it: bodies come from decoders that give no empty part, and what Remora writes has bytes.
        precondition(count > 0, "an empty chunk ends the body")
        output.append(hexadecimal: count)
        output.append("\r\n")
    }

    /// Appends the line end behind the data.
    package static func appendEnd(to output: inout [UInt8]) { output.append("\r\n") }

    /// Appends the last chunk and an empty trailer section.
    package static func appendLast(to output: inout [UInt8]) { output.append("0\r\n\r\n") }

    /// Appends `data` as one chunk; nothing if it is empty.
    package static func append(_ data: borrowing Span<UInt8>, to output: inout [UInt8]) {
        if data.isEmpty { return }
        appendHeader(count: data.count, to: &output)
        output.append(data)
        appendEnd(to: &output)
    }
}
