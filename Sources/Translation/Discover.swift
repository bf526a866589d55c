package import JSONText
import MCP

/// `server/discover`, answered from what the server said in the handshake (2026-07-28, server/discover).
package enum Discover {
    /// A whole response to `request`.
    ///
    /// - Parameters:
    ///   - hasPushChannel: whether the session has a stream on which the server can announce changes; without one,
    ///     `listChanged` and `subscribe` would promise what cannot come.
    ///   - hasTasks: whether calls of tools can be made tasks, so that the extension for tasks is declared.
    package static func discoverResponse(
        to request: ModernRequest, from handshake: Handshake, hasPushChannel: Bool, hasTasks: Bool, caching: CachePolicy
    ) -> SplicedText {
        var text = ResponseText.resultHead(id: request.rawID)
        text.append(#"{"resultType":"complete","supportedVersions":[""#)
        text.append(contentsOf: Revision.modern.rawValue.utf8)
        text.append(#""],"capabilities":"#)
        offeredCapabilities(of: handshake, hasPushChannel: hasPushChannel, hasTasks: hasTasks).append(to: &text)
        let document = handshake.document
        if let instructions = document.value("instructions", of: handshake.result, .string) {
            text.append(#","instructions":"#)
            text.append(contentsOf: document.raw(instructions))
        }
        if let hints = caching.cacheHints(for: .discover) {
            text.append(#","ttlMs":"#)
            text.append(contentsOf: hints.ttlMs)
            text.append(#","cacheScope":"#)
            text.append(contentsOf: hints.cacheScope)
        }
        text.append(",")
        text.append(contentsOf: handshake.serverInfo.meta)
        text.append("}}")
        return SplicedText(text)
    }

    /// Members of the legacy capabilities that go on as they are. The last two are open maps of objects.
    private static let kept: [StaticString] = [
        "tools", "prompts", "resources", "logging", "completions", "experimental", "extensions",
    ]

    private static func offeredCapabilities(
        of handshake: Handshake, hasPushChannel: Bool, hasTasks: Bool
    ) -> SplicedText {
        let document = handshake.document
        guard let capabilities = document.value("capabilities", of: handshake.result, .object) else {
            return SplicedText(undeclaredCapabilities(but: handshake))
        }
        var splice = JSONSplice(document)
        let offered = ServerCapability.allCases.filter { handshake.offers($0) }
        splice.removeMembers(from: capabilities) { member in
            guard kept.contains(where: { document.name(of: member, equals: $0) }) else { return true }
            // Those are set below.
            let isOffered = offered.contains { document.name(of: member, equals: $0.name) }
            return member.value.kind != .object && !isOffered
        }
        for name in ["tools", "prompts", "resources"] as [StaticString] {
            guard let capability = document.value(name, of: capabilities, .object) else { continue }
            splice.removeMembers(from: capability) { member in
                let promises =
                    document.name(of: member, equals: "listChanged") || document.name(of: member, equals: "subscribe")
                return promises && !(hasPushChannel && document.boolean(member.value) == true)
            }
        }
        showExtensions(of: capabilities, in: document, &splice)
        if hasTasks {
            if let extensions = document.value("extensions", of: capabilities, .object) {
                splice.setMember(MetaKey.tasksExtension, to: "{}", in: extensions, at: .end)
            } else {
                splice.setMember(
                    "extensions", to: #"{"io.modelcontextprotocol/tasks":{}}"#, in: capabilities, at: .end)
            }
        }
        for capability in offered where document.value(capability.name, of: capabilities, .object) == nil {
            splice.setMember(capability.name, to: "{}", in: capabilities, at: .end)
        }
        return splice.renderedText(capabilities)
    }

    /// What is shown can be used: not the server's own word of tasks. Their values are objects (schema `ServerCapabilities`), and a client may refuse all
    /// of the discovery for one that is not.
    private static func showExtensions(
        of capabilities: JSONValue, in document: JSONDocument, _ splice: inout JSONSplice
    ) {
        for name in ["extensions", "experimental"] as [StaticString] {
            guard let map = document.value(name, of: capabilities, .object) else { continue }
            splice.removeMembers(from: map) { member in
                document.name(of: member, equals: MetaKey.tasksExtension)
                    || !Handshake.isDeclared(member.value, in: document)
            }
            document.forEachMember(of: map) { member in
                if member.value.kind != .object { splice.replaceValue(member.value, with: "{}") }
            }
        }
    }

    /// Those of a server that declares none, which may have some all the same.
    private static func undeclaredCapabilities(but handshake: Handshake) -> [UInt8] {
        var text = Array("{".utf8)
        for capability in ServerCapability.allCases where handshake.offers(capability) {
            if text.count > 1 { text.append(",") }
            text.append("\"")
            text.append(capability.name)
            text.append("\":{}")
        }
        text.append("}")
        return text
    }
}
