import JSONText
import MCP

/// Questions to the client's model (2026-07-28 and 2025-11-25, client/sampling).
enum Sampling {
    static func samplingRequest(
        _ message: Envelope, id: [UInt8], declared: InputCapabilities
    ) throws(RefusedInput) -> InputRequest {
        let document = message.document
        guard let params = message.params, document.value("messages", of: params, .array) != nil,
            document.value("maxTokens", of: params, .number) != nil
        else { throw .malformedInput("messages must be an array and maxTokens a number", id: id) }
        var needs: InputCapabilities = .sampling
        if document.value("tools", of: params) != nil || document.value("toolChoice", of: params) != nil {
            needs.insert(.samplingTools)
        }
        var splice = JSONSplice(document)
        splice.removeMembers("_meta", "task", from: params)
        // The client may ignore it, so the question is as good without ("Context Inclusion").
        if !declared.contains(.samplingContext), let context = document.value("includeContext", of: params),
            !document.string(context, equals: "none")
        {
            splice.removeMembers("includeContext", from: params)
        }
        return InputRequest(
            .sampling, legacyID: id, needs: needs, method: "sampling/createMessage",
            params: splice.renderedText(params),
            wishedKeys: [InputRequest.wishedKey(in: message)].compactMap(\.self))
    }

    // MARK: Answers

    /// What older servers cannot read.
    struct Unreadable: Error {}

    /// Checks a `CreateMessageResult` and makes its content one that the revision has.
    ///
    /// - Throws: `InputFlaw` when it is none.
    /// - Returns: nil, or why the server cannot get this answer.
    static func samplingAnswer(
        _ response: JSONValue, of document: JSONDocument, in revision: Revision, _ splice: inout JSONSplice
    ) throws(InputFlaw) -> Unreadable? {
        guard let role = document.value("role", of: response),
            document.string(role, equals: "assistant") || document.string(role, equals: "user")
        else { throw InputFlaw("role must be user or assistant") }
        guard document.value("model", of: response, .string) != nil else { throw InputFlaw("model must be a string") }
        guard let content = document.value("content", of: response) else { throw InputFlaw("content is missing") }
        let blocks = content.kind == .array ? Array(document.elements(of: content)) : [content]
        guard blocks.allSatisfy({ blockType(of: $0, in: document) != nil }) else {
            throw InputFlaw("content must be a text, image, audio, tool_use or tool_result block, or a list of them")
        }
        if revision >= .v2025_11_25 {
            for block in blocks { narrowToolResult(block, in: document, &splice) }
            return nil
        }
        // One block was all that a message had.
        let readable: [BlockType] = revision < .v2025_03_26 ? [.text, .image] : [.text, .image, .audio]
        let types = blocks.compactMap { blockType(of: $0, in: document) }
        guard !blocks.isEmpty, types.allSatisfy(readable.contains) else { return Unreadable() }
        if blocks.count == 1 {
            if content.kind == .array { splice.replaceValue(content, with: Array(document.raw(blocks[0]))) }
            return nil
        }
        guard types.allSatisfy({ $0 == .text }) else { return Unreadable() }
        splice.replaceValue(content, with: joinedBlocks(blocks, in: document))
        return nil
    }

    private enum BlockType: CaseIterable {
        case text, image, audio, toolUse, toolResult

        var name: StaticString {
            switch self {
            case .text: "text"
            case .image: "image"
            case .audio: "audio"
            case .toolUse: "tool_use"
            case .toolResult: "tool_result"
            }
        }

        /// What a block cannot do without (schema `SamplingMessageContentBlock`).
        var members: [(name: StaticString, kind: JSONKind)] {
            switch self {
            case .text: [("text", .string)]
            case .image, .audio: [("data", .string), ("mimeType", .string)]
            case .toolUse: [("id", .string), ("name", .string), ("input", .object)]
            case .toolResult: [("toolUseId", .string), ("content", .array)]
            }
        }
    }

    /// Nil when the value is no block.
    private static func blockType(of block: JSONValue, in document: JSONDocument) -> BlockType? {
        guard let name = document.value("type", of: block),
            let type = BlockType.allCases.first(where: { document.string(name, equals: $0.name) }),
            type.members.allSatisfy({ document.value($0.name, of: block, $0.kind) != nil })
        else { return nil }
        return type
    }

    /// 2026-07-28 lets structured content be any value, 2025-11-25 an object only. The text in `content` says the same.
    private static func narrowToolResult(_ block: JSONValue, in document: JSONDocument, _ splice: inout JSONSplice) {
        guard blockType(of: block, in: document) == .toolResult,
            let structured = document.value("structuredContent", of: block), structured.kind != .object
        else { return }
        splice.removeMembers("structuredContent", from: block)
    }

    private static func joinedBlocks(_ blocks: [JSONValue], in document: JSONDocument) -> [UInt8] {
        let texts = blocks.compactMap { document.value("text", of: $0).flatMap { document.string($0) } }
        var block = Array(#"{"type":"text","text":"#.utf8)
        block.appendJSON(texts.joined(separator: "\n"))
        block.append("}")
        return block
    }
}
