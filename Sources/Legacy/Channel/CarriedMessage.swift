package import JSONText
package import MCP

/// A message between a client and a server of the same time, as far as it has to be known where it belongs. Its text is forwarded
/// byte for byte.
package struct CarriedMessage: Sendable {
    package enum Kind: Sendable {
        case request(MessageID)
        case notification
        /// Without an id it answers something that could not be read.
        case response(MessageID?)
    }

    package let text: [UInt8]
    package let kind: Kind
    /// The id as it is spelled; nil where there is none.
    package let rawID: [UInt8]?
    /// Of a request, the name under which its progress is told; of a notification of progress, the name of what progresses.
    package let progressToken: MessageID?
    /// The request that a notification takes back.
    package let cancelled: MessageID?
    package let isInitialize: Bool
    let isPing: Bool

    /// Whether a notification tells of progress.
    package let isProgress: Bool

    /// Nil for what is no message. Params of a wrong type count as none.
    package init?(_ document: JSONDocument) {
        let root = document.root
        guard root.kind == .object, document.isQuick(root) else { return nil }
        let id = document.value("id", of: root)
        let name = id.flatMap { MessageID($0, in: document) }
        rawID = name == nil ? nil : id.map { Array(document.raw($0)) }
        text = document.bytes
        guard let method = document.value("method", of: root, .string) else {
            guard document.value("result", of: root) != nil || document.value("error", of: root) != nil else {
                return nil
            }
            kind = .response(name)
            (progressToken, cancelled) = (nil, nil)
            (isInitialize, isPing, isProgress) = (false, false, false)
            return
        }
        // What has an id that is none could not be answered.
        if id != nil, name == nil { return nil }
        kind = name.map { .request($0) } ?? .notification
        isInitialize = name != nil && document.string(method, equals: "initialize")
        isPing = name != nil && document.string(method, equals: "ping")
        isProgress = name == nil && document.string(method, equals: "notifications/progress")
        let params = document.value("params", of: root, .object).flatMap { document.isQuick($0) ? $0 : nil }
        func identifier(_ member: StaticString, of object: JSONValue?) -> MessageID? {
            object.flatMap { document.value(member, of: $0) }.flatMap { MessageID($0, in: document) }
        }
        progressToken =
            name == nil
            ? (isProgress ? identifier("progressToken", of: params) : nil)
            : identifier("progressToken", of: params.flatMap { document.value("_meta", of: $0, .object) })
        let isCancellation = name == nil && document.string(method, equals: "notifications/cancelled")
        cancelled = isCancellation ? identifier("requestId", of: params) : nil
    }

    /// Messages of a batch. Each takes more memory than the few bytes that it may be spelled with.
    private static let maxBatch = 1000

    /// The messages of a text; nil where it, or a part of it, is none, and where there are more than a thousand.
    ///
    /// - Parameter isBatchable: whether it may be an array of them, as in 2025-03-26 alone.
    package static func readMessages(in document: JSONDocument, isBatchable: Bool) -> [CarriedMessage]? {
        guard document.root.kind == .array else { return CarriedMessage(document).map { [$0] } }
        guard isBatchable else { return nil }
        var messages: [CarriedMessage] = []
        for element in document.elements(of: document.root) {
            guard messages.count < maxBatch, let part = try? JSONDocument(Array(document.raw(element))),
                let message = CarriedMessage(part)
            else { return nil }
            messages.append(message)
        }
        return messages.isEmpty ? nil : messages
    }
}
