import HTTPWire
import JSONText
import MCP

/// How servers say that they no longer know a session. The specification knows one way, 404 (2025-11-25,
/// basic/transports, "Session Management"); servers have more, and give that status to other things too.
///
/// A proof lets the request be sent again at once: no handler ran. What leaves it open is a doubt, which the server itself
/// settles (`LegacySession.isLost`): a session that answers is never given up.
enum SessionLoss {
    enum Verdict: Equatable {
        case none
        case doubt(SessionDoubt)
        case proof
    }

    /// Bytes of a text in which words are looked for: those that matter stand at the start.
    static let maxText = 512

    /// Errors that say what was wrong with the request: a server that looked at that knew the session.
    private static let codesOfRequests: Set = [
        ErrorCode.methodNotFound, ErrorCode.invalidParams, ErrorCode.parseError, ErrorCode.legacyURLElicitationRequired,
    ]
    /// Errors that say what 2026-07-28 wants of every request, in its own range.
    private static let codesOfTheNextEra: Set = [ErrorCode.headerMismatch, ErrorCode.unsupportedProtocolVersion]
    /// Under 404, these with ``proofsOfErrors`` are a loss: the Python SDK since 1.25, and the SDKs of TypeScript and C#.
    private static let codesOfLoss: Set = [ErrorCode.invalidRequest, -32001]
    /// What a message then begins with, in lower case. In the middle it may be about a session that a tool has.
    private static let proofsOfErrors = ["session not found", "session has", "session expired", "invalid session"]

    /// Answers without an id of a request whose text is a proof: who says it, and with which words, in lower case.
    private static let dialects: [(status: Int, words: [String])] = [
        // The Python SDK until 1.25, and the boilerplate around the TypeScript SDK.
        (400, ["no valid session id", "missing session", "not initialized"]),
        // rmcp until 0.16; a real 401 has a challenge.
        (401, ["unauthorized: session"]),
        // The Go SDK, when the session belongs to another user.
        (403, ["session user mismatch"]),
    ]

    /// A JSON-RPC error.
    ///
    /// - Parameters:
    ///   - status: of the answer in which it came; 200 where it came without one.
    ///   - isOwn: whether it has the id of the request, so that it may come from a handler.
    static func errorVerdict(on error: JSONValue, in document: JSONDocument, status: Int, isOwn: Bool) -> Verdict {
        let code = document.value("code", of: error).flatMap { document.integer($0) }.map { Int($0) }
        if let code, codesOfRequests.contains(code) { return .none }
        // A server of 2026-07-28 may be there now. It refuses all that is asked in the same way, and no other does.
        if let code, codesOfTheNextEra.contains(code) { return .doubt(.ofAnotherEra) }
        guard isOwn else { return responseVerdict(status: status, hasChallenge: false, document.raw(error)) }
        let text = lowercase(document.raw(error))
        if status == 404 || status == 410 {
            let message = document.value("message", of: error).flatMap { document.string($0) }?.lowercased() ?? ""
            if status == 404, let code, codesOfLoss.contains(code),
                proofsOfErrors.contains(where: { message.hasPrefix($0) })
            {
                return .proof
            }
            let doubt = SessionDoubt(about: text, isRefusal: true)
            return .doubt(status == 404 ? doubt : doubt.afterDispatch)
        }
        return speaksOfSessions(text) ? .doubt(SessionDoubt(about: text)) : .none
    }

    /// An answer to a request that named a session, which is no JSON-RPC response.
    ///
    /// - Parameters:
    ///   - hasChallenge: whether it has `WWW-Authenticate`: then it is a question of credentials.
    ///   - body: or the start of it.
    static func responseVerdict(status: Int, hasChallenge: Bool, _ body: ArraySlice<UInt8>) -> Verdict {
        let text = lowercase(body)
        let isDialect = dialects.contains { $0.status == status && $0.words.contains { text.contains($0) } }
        switch status {
        case 401, 403:
            if hasChallenge { return .none }
            if isDialect { return .proof }
            guard status == 403, speaksOfSessions(text) else { return .none }
            return .doubt(SessionDoubt(about: text, isRefusal: true))
        case 404, 410:
            // What says nothing else is the specification's way.
            if text.allSatisfy(\.isWhitespace) { return .proof }
            let doubt = SessionDoubt(about: text, isRefusal: true, silenceIsLoss: true)
            // The Go SDK until 0.3 says 410, "session terminated" or "Gone", of a call that ran when its session ended.
            if status == 410 { return .doubt(doubt.afterDispatch) }
            return speaksOfSessions(text) ? .proof : .doubt(doubt)
        case 429: return .none
        case 400..<500:
            // It may mean the request or the session. A handler ran in neither case.
            return isDialect ? .proof : .doubt(SessionDoubt(about: text, isRefusal: true, silenceIsLoss: true))
        default:
            guard speaksOfSessions(text) else { return .none }
            // The Python SDK at its limit of sessions, and balancers whose replica has gone.
            return .doubt(SessionDoubt(about: text, isRefusal: status == 503, mayBeOfTool: status < 300))
        }
    }

    private static func lowercase(_ text: ArraySlice<UInt8>) -> String {
        String(decoding: text.prefix(maxText), as: UTF8.self).lowercased()
    }

    private static func speaksOfSessions(_ text: String) -> Bool {
        text.contains("session") || SessionDoubt.speaksOfHandshakes(text)
    }
}

extension SessionLoss {
    static func responseVerdict(_ head: HTTPResponseHead, _ body: ArraySlice<UInt8>) -> Verdict {
        responseVerdict(status: head.status, hasChallenge: head.fields.first("www-authenticate") != nil, body)
    }
}
