package import JSONText
import MCP

/// What a modern result says beyond what the legacy one did.
package struct ResultContext: Sendable {
    /// The `serverInfo` of the handshake.
    package let serverInfo: ServerInfo
    package let caching: CachePolicy

    package init(serverInfo: ServerInfo, caching: CachePolicy) {
        self.serverInfo = serverInfo
        self.caching = caching
    }
}

/// A backend answered with something that no revision allows.
package enum TranslationError: Error, Equatable, Sendable {
    /// The member `result` or `error` is not an object.
    case notAnObject
    /// What it becomes is longer than a text may be.
    case tooLong
}

/// Legacy results as a modern client reads them.
package enum ResultTranslation {
    /// A whole response to `request`, made of the legacy `result`.
    ///
    /// Every result says its type, carries the server's name in `_meta`, and loses what only Remora may ask for
    /// (`inputRequests`, `requestState`): a server must not smuggle a question past it.
    package static func modernResult(
        _ result: JSONValue, in document: JSONDocument, answering request: ModernRequest, with context: ResultContext
    ) throws(TranslationError) -> SplicedText {
        var text = SplicedText(capacity: result.count + context.serverInfo.meta.count + 160)
        text.append(#"{"jsonrpc":"2.0","id":"#)
        text.append(request.id, of: request.document)
        text.append(#","result":"#)
        try appendResult(result, in: document, of: request.method, with: context, to: &text)
        text.append("}")
        return text
    }

    /// The result alone, to a request of this method.
    static func appendResult(
        _ result: JSONValue, in document: JSONDocument, of method: Method, with context: ResultContext,
        to text: inout SplicedText
    ) throws(TranslationError) {
        guard result.kind == .object else { throw .notAnObject }
        if isTranslatedByAddition(result, in: document, of: method) {
            text.append(
                result, of: document, adding: #""resultType":"complete""#, and: lastMembers(of: context, for: method))
        } else {
            resultSplice(result, in: document, of: method, with: context).renderValue(result, to: &text)
        }
    }

    /// Whether the result, as nearly every one, has nothing that Remora would change, and gets members beside its own.
    private static func isTranslatedByAddition(
        _ result: JSONValue, in document: JSONDocument, of method: Method
    ) -> Bool {
        switch method {
        case .listTools, .complete: return false
        case .callTool where !ToolTranslation.hasContent(result, in: document): return false
        default: break
        }
        return !document.hasMember(of: result) { member in
            document.name(of: member, equals: "_meta") || document.name(of: member, equals: "resultType")
                || document.name(of: member, equals: "inputRequests")
                || document.name(of: member, equals: "requestState")
                || document.name(of: member, equals: "ttlMs") || document.name(of: member, equals: "cacheScope")
        }
    }

    /// What ``resultSplice(_:in:of:with:)`` puts at the end of a result that has none of it.
    private static func lastMembers(of context: ResultContext, for method: Method) -> [UInt8] {
        guard let hints = context.caching.cacheHints(for: method) else { return context.serverInfo.meta }
        var text = context.serverInfo.meta
        text.append(#","ttlMs":"#)
        text.append(contentsOf: hints.ttlMs)
        text.append(#","cacheScope":"#)
        text.append(contentsOf: hints.cacheScope)
        return text
    }

    private static func resultSplice(
        _ result: JSONValue, in document: JSONDocument, of method: Method, with context: ResultContext
    ) -> JSONSplice {
        var splice = JSONSplice(document)
        if !hasOwnType(result, in: document, of: method) {
            splice.removeMembers("inputRequests", "requestState", from: result)
            splice.setMember("resultType", to: "\"complete\"", in: result, at: .start)
        }
        nameServer(context.serverInfo, in: result, of: document, &splice)
        if let hints = context.caching.cacheHints(for: method) {
            splice.setMember("ttlMs", to: hints.ttlMs, in: result, at: .end)
            splice.setMember("cacheScope", to: hints.cacheScope, in: result, at: .end)
        }
        switch method {
        case .listTools: ToolTranslation.translateListedTools(in: result, of: document, &splice)
        case .callTool: ToolTranslation.translateCallResult(result, of: document, &splice)
        case .complete: CompletionTranslation.limitValues(result, of: document, &splice)
        default: break
        }
        return splice
    }

    /// Whether the result of an extension says that it is of a type that the extension adds ("Result Responses": "extensions MAY
    /// add additional ResultType values").
    private static func hasOwnType(_ result: JSONValue, in document: JSONDocument, of method: Method) -> Bool {
        guard method == .vendor, let type = document.value("resultType", of: result, .string) else { return false }
        return !document.string(type, equals: "input_required") && !document.hasDuplicateNames(result)
    }

    /// Puts the server's name into `_meta` and takes out what belongs to a task that the client knows nothing of.
    private static func nameServer(
        _ serverInfo: ServerInfo, in result: JSONValue, of document: JSONDocument, _ splice: inout JSONSplice
    ) {
        if let meta = document.value("_meta", of: result, .object) {
            splice.removeMembers(MetaKey.relatedTask, from: meta)
            splice.setMember(MetaKey.serverInfo, to: serverInfo.text, in: meta, at: .end)
            // A client that reads the last of two would get one that Remora has not seen to.
            splice.removeMembers(from: result) { document.name(of: $0, equals: "_meta") && $0.value != meta }
        } else {
            splice.setMember("_meta", to: serverInfo.metaValue, in: result, at: .end)
        }
    }
}

/// The frame around what Remora answers.
package enum ResponseText {
    /// `{"jsonrpc":"2.0","id":ID,"result":`
    package static func resultHead(id: ArraySlice<UInt8>) -> [UInt8] { responseHead(id: id, member: #","result":"#) }

    /// `{"jsonrpc":"2.0","id":ID,"error":`; without an id when it could not be read (basic/index, "Error Responses").
    package static func errorHead(id: ArraySlice<UInt8>?) -> [UInt8] {
        guard let id else { return Array(#"{"jsonrpc":"2.0","error":"#.utf8) }
        return responseHead(id: id, member: #","error":"#)
    }

    private static func responseHead(id: ArraySlice<UInt8>, member: StaticString) -> [UInt8] {
        var head = [UInt8]()
        head.reserveCapacity(48 + id.count)
        head.append(#"{"jsonrpc":"2.0","id":"#)
        head.append(contentsOf: id)
        member.withUTF8Buffer { head.append(contentsOf: $0) }
        return head
    }
}
