import JSONText

/// Tools and what they return.
enum ToolTranslation {
    /// In a list: `execution` belongs to the tasks of 2025-11-25, and an input schema must say that it is an object.
    static func translateListedTools(in result: JSONValue, of document: JSONDocument, _ splice: inout JSONSplice) {
        guard let tools = document.value("tools", of: result) else { return }
        for tool in document.elements(of: tools) {
            splice.removeMembers("execution", from: tool)
            if let schema = document.value("inputSchema", of: tool) {
                hideInvalidAnnotations(in: schema, of: document, &splice)
            }
            guard let schema = document.value("inputSchema", of: tool, .object) else {
                splice.setMember("inputSchema", to: #"{"type":"object"}"#, in: tool, at: .end)
                continue
            }
            if document.value("type", of: schema) == nil {
                splice.setMember("type", to: "\"object\"", in: schema, at: .start)
            }
        }
    }

    /// A tool with one invalid `x-mcp-header` must be left out by its clients. Without the annotations it is as good as
    /// before they existed.
    private static func hideInvalidAnnotations(
        in schema: JSONValue, of document: JSONDocument, _ splice: inout JSONSplice
    ) {
        let annotations = HeaderAnnotations(of: schema, in: document)
        guard !annotations.areValid else { return }
        for annotated in annotations.annotated { splice.removeMembers(HeaderAnnotations.name, from: annotated) }
    }

    /// In a call's result `content` is required. Where a server gave only structured content, its JSON is the text,
    /// as server/tools, "Structured Content", asks for.
    static func translateCallResult(_ result: JSONValue, of document: JSONDocument, _ splice: inout JSONSplice) {
        if hasContent(result, in: document) { return }
        var content = Array("[".utf8)
        if let structured = document.value("structuredContent", of: result) {
            content.append(#"{"type":"text","text":"#)
            content.appendJSON(utf8: document.raw(structured))
            content.append(UInt8(ascii: "}"))
        }
        content.append(UInt8(ascii: "]"))
        splice.setMember("content", to: content, in: result, at: .end)
    }

    /// Whether a call's result has the required `content`. `null` is what an empty list of Go looks like.
    static func hasContent(_ result: JSONValue, in document: JSONDocument) -> Bool {
        guard let content = document.value("content", of: result) else { return false }
        return content.kind != .null
    }
}
