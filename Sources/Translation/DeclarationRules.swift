package import JSONText

/// What a server is told of its clients, where an operator has a say in it.
package struct DeclarationRules: Sendable {
    /// What of a client's capabilities is declared.
    package struct Capabilities: OptionSet, Sendable {
        package let rawValue: UInt8

        package init(rawValue: UInt8) { self.rawValue = rawValue }

        package static let elicitation = Capabilities(rawValue: 1)
        package static let elicitationForm = Capabilities(rawValue: 2)
        package static let elicitationURL = Capabilities(rawValue: 4)
        package static let sampling = Capabilities(rawValue: 8)
        package static let samplingContext = Capabilities(rawValue: 16)
        package static let samplingTools = Capabilities(rawValue: 32)
        package static let roots = Capabilities(rawValue: 64)
        package static let extensions = Capabilities(rawValue: 128)
    }

    /// Nil: all that the client declares.
    private let allowed: Capabilities?
    /// The result of `roots/list` for the server, as JSON; empty where its client is asked.
    package let roots: [UInt8]

    /// - Parameter roots: URIs that the server gets, whatever its client has. Empty: clients are asked.
    package init(allowed: Capabilities? = nil, roots: [String] = []) {
        self.allowed = allowed
        self.roots = roots.isEmpty ? [] : DeclarationRules.rootsResult(roots)
    }

    /// Whether clients' own words go on unchanged.
    package var changesNothing: Bool { allowed == nil && roots.isEmpty }

    private static func rootsResult(_ roots: [String]) -> [UInt8] {
        var text = Array(#"{"roots":["#.utf8)
        for (index, root) in roots.enumerated() {
            text.append(index == 0 ? #"{"uri":"# : #",{"uri":"#)
            text.appendJSON(root)
            text.append("}")
        }
        text.append("]}")
        return text
    }

    /// The capabilities of a client as if it had declared only what is to be declared. Roots that are answered for it are
    /// not its own any more.
    package func trimmedCapabilities(_ capabilities: JSONValue?, in document: JSONDocument) -> JSONDocument? {
        guard let capabilities else { return nil }
        var text = Array("{".utf8)
        func append(_ name: StaticString, _ value: [UInt8]) {
            if text.count > 1 { text.append(",") }
            text.append(name)
            text.append(contentsOf: value)
        }
        if let value = document.value("elicitation", of: capabilities, .object),
            let declared = allowedElicitation(value, in: document)
        {
            append(#""elicitation":"#, declared)
        }
        if allowsCapability(.extensions), let value = document.value("extensions", of: capabilities, .object) {
            append(#""extensions":"#, Array(document.raw(value)))
        }
        if allowsCapability(.roots), roots.isEmpty, document.value("roots", of: capabilities, .object) != nil {
            append(#""roots":"#, Array("{}".utf8))
        }
        if let value = document.value("sampling", of: capabilities, .object),
            allowsCapability(.sampling) || allowsCapability(.samplingTools) || allowsCapability(.samplingContext)
        {
            append(
                #""sampling":"#,
                allowedMembers(
                    [(#""context":"#, "context", .samplingContext), (#""tools":"#, "tools", .samplingTools)], of: value,
                    in: document))
        }
        text.append("}")
        // It is put together from values of a document that was read.
        return try? JSONDocument(text, maxDepth: .max)
    }

    private func allowsCapability(_ capability: Capabilities) -> Bool { allowed?.contains(capability) ?? true }

    /// Nil where nothing of it is declared. Without modes it means forms, to every revision that has it.
    private func allowedElicitation(_ value: JSONValue, in document: JSONDocument) -> [UInt8]? {
        guard let allowed else { return Array(document.raw(value)) }
        let modes = allowedMembers(
            [(#""form":"#, "form", .elicitationForm), (#""url":"#, "url", .elicitationURL)], of: value, in: document)
        if modes.count > 2 { return modes }
        let takesForms =
            document.value("url", of: value) == nil || document.value("form", of: value, .object) != nil
        let mayBare = allowed.contains(.elicitation) || allowed.contains(.elicitationForm)
        return mayBare && takesForms ? modes : nil
    }

    /// The members that are there and allowed, as they are.
    private func allowedMembers(
        _ members: [(spelled: StaticString, name: StaticString, capability: Capabilities)], of value: JSONValue,
        in document: JSONDocument
    ) -> [UInt8] {
        var text = Array("{".utf8)
        for member in members where allowsCapability(member.capability) {
            guard let inner = document.value(member.name, of: value) else { continue }
            if text.count > 1 { text.append(",") }
            text.append(member.spelled)
            text.append(contentsOf: document.raw(inner))
        }
        text.append("}")
        return text
    }
}
