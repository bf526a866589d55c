package import JSONText
package import MCP

/// What a server said in its `InitializeResult`, kept for the life of the session.
package struct Handshake: Sendable {
    /// Why an answer to `initialize` cannot be worked with.
    package enum Flaw: Error, Equatable, Sendable {
        /// No object, or a member twice.
        case malformed
        /// A revision that has no handshake that Remora knows, as the server spelled it.
        case unsupportedRevision(String)
    }

    package let revision: Revision
    package let serverInfo: ServerInfo
    /// Looked up once: each call asks.
    private var offered: [ServerCapability]
    let document: JSONDocument
    let result: JSONValue

    /// Reads the `result` of the answer to `initialize` (2025-11-25, basic/lifecycle).
    ///
    /// What is missing or of the wrong type is made good where it can mean one thing only: a server that names no revision
    /// has taken the one that it was offered, and `capabilities` that are no object name none.
    ///
    /// - Parameter requested: the revision that `initialize` offered.
    package init(
        _ result: JSONValue, in document: JSONDocument, requesting requested: Revision = .newestLegacy
    ) throws(Flaw) {
        guard result.kind == .object, !document.hasDuplicateNames(result) else { throw .malformed }
        let capabilities = document.value("capabilities", of: result, .object)
        if let capabilities, document.hasDuplicateNames(capabilities) { throw .malformed }
        revision = try Handshake.agreedRevision(of: result, in: document, requesting: requested)
        serverInfo = ServerInfo(document.value("serverInfo", of: result), in: document)
        let revision = revision
        offered = ServerCapability.allCases.filter {
            Handshake.offers($0, capabilities, in: document, revision: revision)
        }
        self.document = document
        self.result = result
    }

    private static func agreedRevision(
        of result: JSONValue, in document: JSONDocument, requesting requested: Revision
    ) throws(Flaw) -> Revision {
        guard let version = document.value("protocolVersion", of: result), version.kind != .null else {
            return requested
        }
        let spelled = document.string(version) ?? String(decoding: document.raw(version).prefix(64), as: UTF8.self)
        // The draft of 2024-11-05, which published SDKs take for it.
        if spelled == "2024-10-07" { return .v2024_11_05 }
        guard version.kind == .string, let revision = Revision(rawValue: spelled), !revision.isModern else {
            throw .unsupportedRevision(spelled)
        }
        return revision
    }

    /// Adds capabilities that the server has though it does not say so.
    package mutating func declareCapabilities(_ capabilities: [ServerCapability]) {
        offered += capabilities.filter { !offered.contains($0) }
    }

    /// What the server said, byte for byte.
    package var text: [UInt8] { Array(document.raw(result)) }

    /// Whether the server said the same to `other`, byte for byte.
    package func isWorded(as other: Handshake) -> Bool {
        document.raw(result).elementsEqual(other.document.raw(other.result))
    }

    /// Whether the server has the capability. 2024-11-05 has no flag for completions, and Python SDKs of 2025-03-26 do
    /// not set it: whatever has arguments to complete, prompts or resource templates, counts there.
    package func offers(_ capability: ServerCapability) -> Bool { offered.contains(capability) }

    private static func offers(
        _ capability: ServerCapability, _ capabilities: JSONValue?, in document: JSONDocument, revision: Revision
    ) -> Bool {
        guard let capabilities else { return false }
        // An empty list is what some languages make of an empty object, and `true` can mean nothing else.
        func has(_ name: StaticString) -> Bool {
            guard let value = document.value(name, of: capabilities) else { return false }
            return value.kind != .null && document.boolean(value) != false
        }
        switch capability {
        case .tools: return has("tools")
        case .prompts: return has("prompts")
        case .resources: return has("resources")
        case .logging: return has("logging")
        case .completions:
            return has("completions") || (revision <= .v2025_03_26 && (has("prompts") || has("resources")))
        }
    }

    /// Whether the server says that it tells of changes in the list of what the capability is about.
    package func announcesChanges(of capability: ServerCapability) -> Bool {
        promisesMember("listChanged", of: capability)
    }

    /// Whether the server says that it tells of anything. Subscriptions to resources are tried all the same.
    package var announcesSomething: Bool {
        [ServerCapability.tools, .prompts, .resources].contains { announcesChanges(of: $0) }
            || promisesMember("subscribe", of: .resources)
    }

    private func promisesMember(_ name: StaticString, of capability: ServerCapability) -> Bool {
        guard let capabilities = document.value("capabilities", of: result) else { return false }
        let value =
            switch capability {
            case .tools: document.value("tools", of: capabilities, .object)
            case .prompts: document.value("prompts", of: capabilities, .object)
            case .resources: document.value("resources", of: capabilities, .object)
            case .completions, .logging: nil as JSONValue?
            }
        return value.flatMap { document.value(name, of: $0) }.flatMap { document.boolean($0) } == true
    }

    /// The body of `initialize`.
    ///
    /// - Parameters:
    ///   - revision: the one that is offered.
    ///   - capabilities: as `ClientCapabilities.legacyCapabilities` made them.
    package static func initializeRequest(
        id: Int, offering revision: Revision = .newestLegacy, capabilities: [UInt8], remoraVersion: String
    ) -> [UInt8] {
        var text = Array(#"{"jsonrpc":"2.0","id":"#.utf8)
        text.append(contentsOf: String(id).utf8)
        text.append(#","method":"initialize","params":{"protocolVersion":""#)
        text.append(revision.name)
        text.append(#"","capabilities":"#)
        text.append(contentsOf: capabilities)
        text.append(#","clientInfo":{"name":"remora","version":"#)
        text.appendJSON(remoraVersion)
        text.append("}}}")
        return text
    }

    /// The body of `notifications/initialized`.
    package static let initialized = Array(#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#.utf8)
}
