import JSONText

/// The reading of what servers send. Clients are read strictly (``Envelope/init(_:)``): a server behind Remora could take
/// what they send for something else. Of a server's messages one is waited for, and the others only tell or ask: what can mean
/// only one thing is taken, as the specification has it, and everything else is passed over.
extension Envelope {
    /// Reads a message of a server.
    ///
    /// - Parameter maxDepth: as for the document.
    /// - Throws: why it is none.
    static func ofServer(_ document: JSONDocument, maxDepth: Int) throws(Flaw) -> Envelope {
        let root = document.root
        guard root.kind == .object else { throw root.kind == .array ? .batch : .notAnObject }
        guard document.isQuick(root) else { throw .tooManyMembers }
        // What nearly all are: a response with a result, or a notification.
        if document.value("method", of: root) != nil {
            if document.value("id", of: root) == nil, let proper = try? Envelope(document) { return proper }
        } else if !document.hasDuplicateNames(root), document.value("jsonrpc", of: root) != nil,
            let result = document.value("result", of: root), document.value("error", of: root) == nil
        {
            let id = document.value("id", of: root).flatMap { $0.kind == .number || $0.kind == .string ? $0 : nil }
            return Envelope(document, .response(id: id, outcome: .result(result)))
        }
        return try ServerMessage(document, maxDepth: maxDepth).mendedEnvelope()
    }

    /// The id of the request of ours that it answers: Remora makes all of them, so that `"2"` and `2.0` can mean nothing else
    /// than 2. Nil for any other message.
    package var answeredRequest: Int64? {
        switch kind {
        case .response(let id?, _), .unclear(let id): document.wholeNumber(id)
        case .response(nil, _), .request, .notification: nil
        }
    }
}
