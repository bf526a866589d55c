import JSONText

/// What the demo server says.
enum DemoCatalog {
    static let initializeResult = Array(
        """
        {"protocolVersion":"2025-11-25","capabilities":{"tools":{}},\
        "serverInfo":{"name":"legacy-demo","version":"1.0.0"},\
        "instructions":"A small server of MCP 2025-11-25, with sessions."}
        """.utf8)

    static let tools = Array(
        """
        {"tools":[\
        {"name":"echo","description":"Returns its text.","inputSchema":{"type":"object",\
        "properties":{"text":{"type":"string"}},"required":["text"]}},\
        {"name":"counter","description":"Counts its calls in this session.","inputSchema":{"type":"object"}},\
        {"name":"slow","description":"Takes its time and reports progress.","inputSchema":{"type":"object",\
        "properties":{"steps":{"type":"integer"},"milliseconds":{"type":"integer"}}}},\
        {"name":"ask","description":"Asks the user for names, one after the other, and greets them.",\
        "inputSchema":{"type":"object","properties":{"times":{"type":"integer"}}}}]}
        """.utf8)

    static func textResult(_ text: [UInt8]) -> [UInt8] { contentResult(text, isError: false) }

    static func failureResult(_ text: String) -> [UInt8] { contentResult(Array(text.utf8), isError: true) }

    private static func contentResult(_ text: [UInt8], isError: Bool) -> [UInt8] {
        var result = [UInt8]()
        result.reserveCapacity(text.count + 64)
        result.append(#"{"content":[{"type":"text","text":"#)
        result.appendJSON(utf8: text[...])
        result.append(isError ? #"}],"isError":true}"# : #"}],"isError":false}"#)
        return result
    }

    static func progressNotification(_ token: ArraySlice<UInt8>, _ step: Int, of steps: Int) -> [UInt8] {
        var message = Array(#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"#.utf8)
        message.append(contentsOf: token)
        message.append(contentsOf: #","progress":\#(step),"total":\#(steps)}}"#.utf8)
        return message
    }

    static func questionRequest(id: Int) -> [UInt8] {
        Array(
            """
            {"jsonrpc":"2.0","id":\(id),"method":"elicitation/create","params":{"mode":"form",\
            "message":"What is your name?","requestedSchema":{"type":"object",\
            "properties":{"name":{"type":"string"}},"required":["name"]}}}
            """.utf8)
    }
}
