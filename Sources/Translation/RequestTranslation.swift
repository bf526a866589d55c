package import JSONText
package import MCP

/// What a request needs from the session that will carry it.
package struct RequestContext: Sendable {
    /// Remora's own id toward the server: integers from 1, never used twice in a session. Some servers lose id 0.
    package let id: Int
    /// The revision that the session negotiated.
    package let revision: Revision
    /// Whether the server is to tell of progress even if the client did not ask for it: another request of the client, with a
    /// token of its own, may come to wait for the same call.
    package let wantsProgress: Bool

    package init(id: Int, revision: Revision, wantsProgress: Bool = false) {
        self.id = id
        self.revision = revision
        self.wantsProgress = wantsProgress
    }
}

/// Modern requests as a legacy server reads them.
package enum RequestTranslation {
    /// The request with its own id and without what only 2026-07-28 knows. Everything else stays as it was spelled.
    package static func legacyRequest(_ request: ModernRequest, in context: RequestContext) -> SplicedText {
        let document = request.document
        var text = SplicedText(capacity: request.params.count + 96)
        text.append(#"{"jsonrpc":"2.0","id":"#)
        text.appendJSON(context.id)
        if let name = request.vendorMethod {
            text.append(#","method":"#)
            text.append(name, of: document)
            text.append(#","params":"#)
        } else {
            text.append(#","method":""#)
            text.append(request.method.name)
            text.append(#"","params":"#)
        }
        if isTranslatedByRemoval(request, in: context) {
            func isRemoved(_ member: JSONMember) -> Bool {
                isModernParameter(member, of: request) || document.name(of: member, equals: "_meta")
            }
            if context.wantsProgress {
                text.append("{")
                text.append(membersOf: request.params, in: document, without: isRemoved)
                text.append(#""_meta":{"progressToken":"#)
                text.appendJSON(context.id)
                text.append("}}")
            } else {
                text.append(request.params, of: document, without: isRemoved)
            }
        } else {
            requestSplice(request, in: context).renderValue(request.params, to: &text)
        }
        text.append("}")
        return text
    }

    /// The same for a call that is made a task (2025-11-25, basic/utilities/tasks, "Creating Tasks").
    ///
    /// - Parameter ttl: for how long the server is asked to keep the task, in milliseconds.
    package static func legacyTaskRequest(_ request: ModernRequest, in context: RequestContext, ttl: Int) -> SplicedText
    {
        var text = SplicedText(capacity: request.params.count + 128)
        text.append(#"{"jsonrpc":"2.0","id":"#)
        text.appendJSON(context.id)
        text.append(#","method":""#)
        text.append(request.method.name)
        text.append(#"","params":"#)
        var task = Array(#"{"ttl":"#.utf8)
        task.appendJSON(ttl)
        task.append("}")
        var splice = requestSplice(request, in: context)
        splice.setMember("task", to: task, in: request.params, at: .end)
        splice.renderValue(request.params, to: &text)
        text.append("}")
        return text
    }

    /// Whether the request, as nearly every one, loses members of `params` and else stays as it is.
    private static func isTranslatedByRemoval(_ request: ModernRequest, in context: RequestContext) -> Bool {
        !keepsMeta(of: request) && !isOldCompletion(request, in: context) && request.hiddenHandle == .nowhere
    }

    private static func requestSplice(_ request: ModernRequest, in context: RequestContext) -> JSONSplice {
        let document = request.document
        var splice = JSONSplice(document)
        splice.removeMembers(from: request.params) { isModernParameter($0, of: request) }
        if context.wantsProgress || keepsMeta(of: request) {
            translateMeta(of: request, with: context, in: &splice)
        } else {
            splice.removeMembers("_meta", from: request.params)
        }
        if request.hiddenHandle == .everywhere, let arguments = document.value("arguments", of: request.params, .object)
        {
            splice.removeMembers(HandleArgument.name, from: arguments)
        }
        if isOldCompletion(request, in: context) {
            splice.removeMembers("context", from: request.params)
            if let reference = document.value("ref", of: request.params) {
                splice.removeMembers("title", from: reference)
            }
        }
        return splice
    }

    /// Members of `params` that the older revisions do not have: answers to questions, sealed state, and the task
    /// augmentation, which a client of 2026-07-28 can only have sent by mistake. An unknown method may have its own of any name.
    private static func isModernParameter(_ member: JSONMember, of request: ModernRequest) -> Bool {
        let document = request.document
        let isModern =
            document.name(of: member, equals: "inputResponses") || document.name(of: member, equals: "requestState")
            || document.name(of: member, equals: "task")
        return isModern && request.method != .vendor
    }

    private static func isOldCompletion(_ request: ModernRequest, in context: RequestContext) -> Bool {
        request.method == .complete && context.revision < .v2025_06_18
    }

    /// The protocol's own keys say nothing to an older server. A progress token becomes the request's id, because
    /// tokens of two clients can be equal and one session serves both.
    private static func translateMeta(
        of request: ModernRequest, with context: RequestContext, in splice: inout JSONSplice
    ) {
        let document = request.document
        splice.removeMembers(from: request.meta) { document.hasName($0, prefix: MetaKey.protocolPrefix) }
        if request.hiddenHandle != .nowhere { splice.removeMembers(MetaKey.sessionHandle, from: request.meta) }
        if request.wantsProgress || context.wantsProgress {
            var own = [UInt8]()
            own.appendJSON(context.id)
            splice.setMember(MetaKey.progressToken, to: own, in: request.meta)
        }
        request.trace?.addMembers(to: request.meta, in: &splice)
    }

    /// Whether anything in `_meta` says something to an older server.
    private static func keepsMeta(of request: ModernRequest) -> Bool {
        request.trace?.changesMeta == true || request.metadata.hasOthers
    }
}
