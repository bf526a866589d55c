import MCP

/// Errors for clients of older revisions, in the words of these.
extension Refusal {
    /// 2025-11-25, basic/transports, "Session Management".
    static let missingSession = Refusal(
        status: 400, code: ErrorCode.invalidRequest,
        message: "Missing session ID: send initialize first, and Mcp-Session-Id of its answer with all that follows.")

    /// The client then begins anew, by the same section. Another caller's session is none.
    static let sessionNotFound = Refusal(
        status: 404, code: ErrorCode.invalidRequest,
        message: "Session not found: it has ended, or another replica has it. Send initialize again, without "
            + "Mcp-Session-Id. Who operates several replicas has to keep each client at one.")

    static let notCarried = Refusal(
        status: 400, code: ErrorCode.invalidRequest,
        message: "Not a JSON-RPC message: send a request, a notification or a response, alone. Batches are of MCP "
            + "2025-03-26 only, and initialize is in none.")

    static let repeatedID = Refusal(
        status: 400, code: ErrorCode.invalidRequest,
        message: "A request of this session with the same id is being answered, or its response may still come. "
            + "Give each request an id of its own.")

    /// The answer to a request whose client took it back, and to which the server gave none.
    static let cancelledRequest = Refusal(
        status: 200, code: ErrorCode.internalError, message: "Request cancelled. The server gave no answer to it.")

    /// For a server.
    static let nobodyListens = Refusal(
        status: 200, code: ErrorCode.internalError, message: "The client does not listen, and too much waits for it.")
}
