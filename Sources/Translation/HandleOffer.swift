import JSONText

/// What clients are told of handles: of sessions that they open, name in later calls, and close (docs/translation.md §14).
package struct HandleOffer: Equatable, Sendable {
    /// Whether each call of a tool has to name one.
    package let isRequired: Bool
    /// For how long a session may be without a call, and how old it may be, for a reader.
    package let idleTime: String
    package let maxAge: String

    package init(isRequired: Bool, idleTime: String, maxAge: String) {
        self.isRequired = isRequired
        self.idleTime = idleTime
        self.maxAge = maxAge
    }

    /// When a session ends that is not closed.
    var lifetime: String {
        "It ends after \(idleTime) without a call, and \(maxAge) after it was opened at the latest."
    }

    /// The tools that open and close a session, as `tools/list` has them.
    func toolDefinitions(_ names: HandleToolNames) -> [[UInt8]] {
        var open = Array(#"{"name":""#.utf8)
        open += names.open
        open.append(#"","title":"Open a session","description":"#)
        open.appendJSON(
            "Opens a session with this server, for tools that remember something from call to call, such as a cart, an open "
                + "page or a current project. Give the session_handle that it returns to later calls: calls with the same "
                + "handle share what the server remembers, and no other call sees it. \(lifetime)")
        open.append(
            #","inputSchema":{"type":"object","properties":{"label":{"type":"string","#)
        open.append(#""description":"A name for the session, to tell several apart."}},"additionalProperties":false},"#)
        open.append(#""outputSchema":{"type":"object","properties":{"#)
        open.append(#""session_handle":{"type":"string"},"expires_at":{"type":"string","format":"date-time"}},"#)
        open.append(#""required":["session_handle","expires_at"]},"#)
        open.append(#""annotations":{"readOnlyHint":false,"destructiveHint":false,"#)
        open.append(#""idempotentHint":false,"openWorldHint":false}}"#)
        var close = Array(#"{"name":""#.utf8)
        close += names.close
        close.append(#"","title":"Close a session","description":"#)
        close.appendJSON(
            "Closes a session that \(names.openName) opened, when it is not needed any more. What the server remembers in it is "
                + "lost.")
        close.append(#","inputSchema":{"type":"object","properties":{"session_handle":{"type":"string","description":"#)
        close.appendJSON("The session_handle that \(names.openName) returned, copied exactly.")
        close.append(#"}},"required":["session_handle"],"additionalProperties":false},"#)
        close.append(#""annotations":{"readOnlyHint":false,"destructiveHint":true,"#)
        close.append(#""idempotentHint":true,"openWorldHint":false}}"#)
        return [open, close]
    }

    /// The schema of the argument that other tools get.
    func argumentSchema(_ names: HandleToolNames) -> [UInt8] {
        var text = Array(#"{"type":"string","description":"#.utf8)
        text.appendJSON(
            "The session_handle that \(names.openName) returned, copied exactly. Calls with the same handle share what the "
                + (isRequired
                    ? "server remembers. Call \(names.openName) first if you have none."
                    : "server remembers. Leave it out if the call needs nothing of that."))
        text.append("}")
        return text
    }
}

/// What the tools that open and close sessions are called: as no tool of the server is.
package struct HandleToolNames: Equatable, Sendable {
    private static let opening = Array("open_session".utf8)
    private static let closing = Array("close_session".utf8)
    /// The first one that makes names which the server does not have.
    private static let prefixes = ["", "remora_", "remora_2_", "remora_3_"].map { Array($0.utf8) }

    package let open: [UInt8]
    package let close: [UInt8]

    /// Nil where the server has tools of all names that there are.
    package init?(avoiding tools: ToolFacts) {
        for prefix in HandleToolNames.prefixes {
            let (open, close) = (prefix + HandleToolNames.opening, prefix + HandleToolNames.closing)
            guard !tools.hasTool(open), !tools.hasTool(close) else { continue }
            self.open = open
            self.close = close
            return
        }
        return nil
    }

    package var openName: String { String(decoding: open, as: UTF8.self) }

    /// Whether a tool of this name may be one of these, by the name alone.
    package static func mayBeOne(_ name: [UInt8]) -> Bool {
        prefixes.contains { name == $0 + opening || name == $0 + closing }
    }
}

/// What a client gets for `open_session` and `close_session`, and where it may not go on.
package enum HandleText {
    /// - Parameters:
    ///   - handle: ASCII that needs no escaping.
    ///   - expiry: ISO 8601.
    ///   - label: what the client called it; nil where it gave no name.
    package static func opened(
        _ handle: [UInt8], until expiry: String, label: String?, _ offer: HandleOffer, serverInfo: ServerInfo,
        answering request: ModernRequest
    ) -> [UInt8] {
        let handleText = String(decoding: handle, as: UTF8.self)
        let name = label.map { " (\($0))" } ?? ""
        var text = ResponseText.resultHead(id: request.rawID)
        text.append(#"{"resultType":"complete","content":[{"type":"text","text":"#)
        text.appendJSON(
            "A session is open\(name). session_handle: \(handleText)\n"
                + "Give it as session_handle to each call that belongs to this session, copied exactly. \(offer.lifetime) "
                + "expires_at: \(expiry)")
        text.append(#"}],"structuredContent":{"session_handle":""#)
        text += handle
        text.append(#"","expires_at":""#)
        text += Array(expiry.utf8)
        text.append(#""},"#)
        text += serverInfo.meta
        text.append("}}")
        return text
    }

    package static func closed(serverInfo: ServerInfo, answering request: ModernRequest) -> [UInt8] {
        var text = ResponseText.resultHead(id: request.rawID)
        text.append(#"{"resultType":"complete","content":[{"type":"text","text":"The session is closed."}],"#)
        text += serverInfo.meta
        text.append("}}")
        return text
    }
}
