package import JSONText
package import MCP

/// What a request needs from the session that will carry it.
package struct RequestContext: Sendable {
    /// Remora's own id toward the server: integers from 1, never used twice in a session. Some servers lose id 0.
    package let id: Int
    /// The revision that the session negotiated.
    package let revision: Revision

    package init(id: Int, revision: Revision) {
        self.id = id
        self.revision = revision
    }
}

/// Modern requests as a legacy server reads them.
package enum RequestTranslation {
    /// Members of `params` that the older revisions do not have: answers to questions, sealed state, and the task
    /// augmentation, which a client of 2026-07-28 can only have sent by mistake.
    private static let modernParameters: [StaticString] = ["inputResponses", "requestState", "task"]

    /// The request with its own id and without what only 2026-07-28 knows. Everything else stays as it was spelled.
    package static func legacy(_ request: ModernRequest, in context: RequestContext) -> SplicedText {
        var splice = JSONSplice(request.document)
        var removed = modernParameters
        if request.trace?.changesMeta != true, hasNothingToKeep(request.meta, in: request.document) {
            removed.append("_meta")
        } else {
            translateMeta(of: request, with: context, in: &splice)
        }
        if request.method == .complete, context.revision < .v2025_06_18 {
            removed.append("context")
            if let reference = request.document.value("ref", of: request.params) {
                splice.remove("title", from: reference)
            }
        }
        let document = request.document
        splice.remove(from: request.params) { member in removed.contains { document.name(of: member, equals: $0) } }
        var text = splice.rendered(request.params)
        text.prepend(head(id: context.id, method: request.method))
        text.append("}")
        return text
    }

    private static func head(id: Int, method: Method) -> [UInt8] {
        var head = [UInt8]()
        head.reserveCapacity(80)
        head.append(#"{"jsonrpc":"2.0","id":"#)
        head.appendJSON(id)
        head.append(#","method":""#)
        head.append(method.name)
        head.append(#"","params":"#)
        return head
    }

    /// The protocol's own keys say nothing to an older server. A progress token becomes the request's id, because
    /// tokens of two clients can be equal and one session serves both.
    private static func translateMeta(
        of request: ModernRequest, with context: RequestContext, in splice: inout JSONSplice
    ) {
        let document = request.document
        splice.remove(from: request.meta) { document.hasName($0, prefix: MetaKey.protocolPrefix) }
        if let token = document.value(MetaKey.progressToken, of: request.meta) {
            var own = [UInt8]()
            own.appendJSON(context.id)
            splice.replace(token, with: own)
        }
        request.trace?.add(to: request.meta, in: &splice)
    }

    private static func hasNothingToKeep(_ meta: JSONValue, in document: JSONDocument) -> Bool {
        document.members(of: meta).allSatisfy { document.hasName($0, prefix: MetaKey.protocolPrefix) }
    }
}
