package import JSONText
import MCP

/// The capabilities of a modern client as `initialize` declares them.
package enum ClientCapabilities {
    /// Bytes in which a client may declare its capabilities. They are part of what tells sessions apart, and are kept for as
    /// long as a session, a list or a subscriber; the settings of a few extensions take some hundred.
    package static let maxSize = 16 << 10

    private static let none = Array("{}".utf8)

    /// For a session that many calls share. Canonical JSON, so that equal capabilities share a session however they were
    /// spelled.
    ///
    /// `roots`, `sampling` and `elicitation` are left out: a server that asks during a call needs a session that serves
    /// this call alone. A server then knows that it cannot ask, and says so in its own words.
    /// The tasks extension is left out because a client of 2026-07-28 no longer hosts tasks, `experimental` because
    /// what it means is between two parties that Remora is neither of.
    ///
    /// - Parameter hasRoots: whether `roots/list` is answered for the client, whatever it declared.
    package static func legacyCapabilities(
        _ capabilities: JSONValue?, in document: JSONDocument, hasRoots: Bool = false
    ) -> [UInt8] {
        var members: [(name: StaticString, value: [UInt8])] = []
        if let capabilities, let extensions = declaredExtensions(of: capabilities, in: document) {
            members.append((#""extensions":"#, extensions))
        }
        if hasRoots { members.append((#""roots":"#, none)) }
        return members.isEmpty ? none : canonicalObject(members)
    }

    /// For a session that serves one call alone, during which the server may ask: as ``legacyCapabilities(_:in:)``, and with `roots`,
    /// `sampling` and `elicitation` as the client declared them. Canonical JSON, too.
    ///
    /// `roots` never promises `listChanged`: 2026-07-28 has no notification for it.
    package static func exclusiveCapabilities(
        _ capabilities: JSONValue?, in document: JSONDocument, hasRoots: Bool = false
    ) -> [UInt8] {
        guard let capabilities, !document.isEmpty(capabilities) else {
            return hasRoots ? canonicalObject([(#""roots":"#, none)]) : none
        }
        var members: [(name: StaticString, value: [UInt8])] = []
        if let elicitation = document.value("elicitation", of: capabilities, .object) {
            members.append((#""elicitation":"#, canonicalText(elicitation, in: document)))
        }
        if let extensions = declaredExtensions(of: capabilities, in: document) {
            members.append((#""extensions":"#, extensions))
        }
        if hasRoots || document.value("roots", of: capabilities, .object) != nil {
            members.append((#""roots":"#, none))
        }
        if let sampling = document.value("sampling", of: capabilities, .object) {
            members.append((#""sampling":"#, canonicalText(sampling, in: document)))
        }
        return canonicalObject(members)
    }

    /// One of the two.
    ///
    /// - Parameter canBeAsked: whether the server may ask during calls.
    package static func legacyCapabilities(
        _ capabilities: JSONValue?, in document: JSONDocument, canBeAsked: Bool, hasRoots: Bool = false
    ) -> [UInt8] {
        canBeAsked
            ? exclusiveCapabilities(capabilities, in: document, hasRoots: hasRoots)
            : legacyCapabilities(capabilities, in: document, hasRoots: hasRoots)
    }

    /// Nil when there are none but tasks.
    private static func declaredExtensions(of capabilities: JSONValue, in document: JSONDocument) -> [UInt8]? {
        guard let extensions = document.value("extensions", of: capabilities, .object) else { return nil }
        func isTasks(_ member: JSONMember) -> Bool { document.name(of: member, equals: MetaKey.tasksExtension) }
        guard document.hasMember(of: extensions, where: { !isTasks($0) }) else { return nil }
        guard document.hasMember(of: extensions, where: isTasks) else { return canonicalText(extensions, in: document) }
        var text = SplicedText()
        text.append(extensions, of: document, without: isTasks)
        var kept: [UInt8] = []
        text.append(to: &kept)
        // An object without one of its members is JSON: there is always a document.
        return (try? JSONDocument(kept, maxDepth: .max)).map { canonicalText($0.root, in: $0) }
    }

    private static func canonicalText(_ value: JSONValue, in document: JSONDocument) -> [UInt8] {
        var text: [UInt8] = []
        document.appendCanonical(of: value, into: &text)
        return text
    }

    /// - Parameter members: each name with its colon, in the order of a canonical object.
    private static func canonicalObject(_ members: [(name: StaticString, value: [UInt8])]) -> [UInt8] {
        var text = Array("{".utf8)
        for (index, member) in members.enumerated() {
            if index > 0 { text.append(",") }
            text.append(member.name)
            text.append(contentsOf: member.value)
        }
        text.append("}")
        return text
    }
}
