import HTTPTransport
import HTTPWire

/// What of an answer is kept: what its head says of the body, and the body of one that is no stream.
struct BackendResponse {
    enum Content {
        /// The body is a message.
        case document
        /// The body is a stream of messages.
        case events(Events)
        /// Status or type are not those of messages.
        case other
    }

    /// A reference, because most answers have none.
    final class Events {
        var decoder: SSEDecoder

        init(maxMessage: Int) { decoder = SSEDecoder(maxEvent: maxMessage) }
    }

    let status: Int
    let content: Content
    private let maxMessage: Int
    private var text: [UInt8] = []
    /// Bytes of the body that have come.
    private var count = 0

    init(_ head: HTTPResponseHead, maxMessage: Int) {
        status = head.status
        content = BackendResponse.contentKind(of: head, maxMessage)
        self.maxMessage = maxMessage
        if case .document = content, case .bytes(let count) = head.bodyLength, count <= maxMessage {
            text.reserveCapacity(count)
        }
    }

    private static func contentKind(of head: HTTPResponseHead, _ maxMessage: Int) -> Content {
        guard (200..<300).contains(head.status), let type = head.fields.first("content-type") else { return .other }
        if type.isMediaType("application/json") { return .document }
        return type.isMediaType("text/event-stream") ? .events(Events(maxMessage: maxMessage)) : .other
    }

    /// Keeps a part of the body as far as something can be made of it: of other content all of what may be JSON, of which it can
    /// be the response all the same, and else the start, in which words are looked for.
    ///
    /// - Returns: false where the body is larger than a message may be.
    mutating func keepBody(_ part: Span<UInt8>) -> Bool {
        // No part is larger than what is read at once.
        count += part.count
        guard case .other = content else {
            guard count <= maxMessage else { return false }
            text.append(part, upTo: maxMessage)
            return true
        }
        var start = 0
        // White space before the rest says nothing, however much of it comes.
        if text.isEmpty { while start < part.count, part[start] <= UInt8(ascii: " ") { start += 1 } }
        if start < part.count {
            let first = text.first ?? part[start]
            let isJSON = first == UInt8(ascii: "{") || first == UInt8(ascii: "[")
            let room = max(0, (isJSON ? maxMessage : SessionLoss.maxText) - text.count)
            text.append(part, start..<start + min(room, part.count - start))
        }
        return count <= maxMessage
    }

    /// The body of a document, once; nil where there is none.
    mutating func takeDocument() -> [UInt8]? {
        guard case .document = content, !text.isEmpty else { return nil }
        var document: [UInt8] = []
        swap(&document, &text)
        return document
    }

    /// What is kept of other content.
    var otherText: [UInt8] { if case .other = content { text } else { [] } }
}
