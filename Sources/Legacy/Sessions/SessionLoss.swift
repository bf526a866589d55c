import HTTPWire

/// How servers say that they no longer know a session. The specification knows one way, 404 (2025-11-25,
/// basic/transports, "Session Management"); servers have more.
enum SessionLoss {
    /// Answers whose text decides: who says it, and with which words, in lower case.
    private static let dialects: [(status: Int, words: [String])] = [
        // The Python SDK until 1.25, and the boilerplate around the TypeScript SDK.
        (400, ["no valid session id", "missing session", "not initialized"]),
        // rmcp until 0.16; a real 401 has a challenge.
        (401, ["unauthorized: session"]),
        // The Go SDK, when the session belongs to another user.
        (403, ["session user mismatch"]),
        // The Python SDK at its limit of sessions, and balancers whose replica has gone.
        (503, ["session"]),
    ]

    /// Whether this answer to a request that named a session means that the session is gone, and so that no handler ran.
    ///
    /// - Parameter text: the start of the body.
    static func isLoss(_ head: HTTPResponseHead, text: [UInt8]) -> Bool {
        switch head.status {
        case 404, 410: return true
        case 401 where head.fields.first("www-authenticate") != nil: return false
        default:
            guard let dialect = dialects.first(where: { $0.status == head.status }) else { return false }
            let text = String(decoding: text, as: UTF8.self).lowercased()
            return dialect.words.contains { text.contains($0) }
        }
    }
}
