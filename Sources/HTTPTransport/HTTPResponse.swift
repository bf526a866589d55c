package import HTTPWire

/// An answer, without its body.
package struct HTTPResponse: Sendable {
    package var status: Int
    package var contentType: StaticString?
    /// Further fields. Their values are ours or came through a decoder: they hold no line break.
    package var fields: [(name: StaticString, value: [UInt8])]
    /// Further fields, as they came in the head of another message.
    package var relayed: [HTTPFields.FieldLine] = []
    /// Whether the connection ends with it.
    package var closes: Bool

    package init(
        status: Int, contentType: StaticString? = nil, fields: [(name: StaticString, value: [UInt8])] = [],
        closes: Bool = false
    ) {
        self.status = status
        self.contentType = contentType
        self.fields = fields
        self.closes = closes
    }

    func appendHead(bodySize: Int, keepAlive: Bool, to out: inout [UInt8]) {
        var writer = beginHead(&out)
        // RFC 9110 §8.6: no length in an answer that has no body by its status.
        if status != 204 { writer.field("content-length", bodySize) }
        if !keepAlive { writer.field("connection", "close") }
        writer.endHead(into: &out)
    }

    func appendStreamHead(_ length: HTTPBodyLength, keepAlive: Bool, to out: inout [UInt8]) {
        var writer = beginHead(&out)
        switch length {
        case .bytes(let count): writer.field("content-length", count)
        case .chunked: writer.field("transfer-encoding", "chunked")
        case .none, .untilClose: break
        }
        if !keepAlive { writer.field("connection", "close") }
        writer.endHead(into: &out)
    }

    private func beginHead(_ out: inout [UInt8]) -> HTTPHeadWriter {
        var writer = HTTPHeadWriter(status: status, into: &out)
        if let contentType { writer.field("content-type", contentType) }
        // One with a control character is left out: it would be more than a field.
        for field in fields { _ = writer.field(field.name, field.value) }
        for field in relayed { writer.field(field.name, field.value) }
        return writer
    }
}
