import HTTPTransport
import HTTPWire
import JSONText
import Legacy
import MCP
import Translation

/// Every error that Remora itself answers with: its HTTP status, its JSON-RPC code, and what to do about it. This file
/// alone decides them. Who reads the message may be a person or a model.
struct Refusal: Error, Sendable {
    let status: Int
    let code: Int
    let message: String
    /// `data` of the error, as JSON.
    var data: [UInt8]?
    var fields: [(name: StaticString, value: [UInt8])] = []
    /// What the server does not declare, where that is why.
    var undeclared: ServerCapability?
    /// On whose side the cause is, for the log.
    var side = Side.client

    typealias Side = ErrorSide

    /// The error as the answer to a request; without an id when it could not be read.
    func errorText(id: ArraySlice<UInt8>?) -> [UInt8] {
        var text = ResponseText.errorHead(id: id)
        text.append(#"{"code":"#)
        text.appendJSON(code)
        text.append(#","message":"#)
        text.appendJSON(message)
        if let data {
            text.append(#","data":"#)
            text.append(contentsOf: data)
        }
        text.append("}}")
        return text
    }
}

// MARK: Before the message is looked at

extension Refusal {
    static func malformedHTTP(_ flaw: HTTPRequestFlaw) -> Refusal {
        switch flaw {
        case .malformed(let error) where error.reason == .headTooLarge:
            Refusal(
                status: error.suggestedStatus, code: ErrorCode.invalidRequest,
                message:
                    "The head of the request is larger than limits.max_head. Send fewer or shorter fields, or raise the limit."
            )
        case .malformed(let error):
            Refusal(
                status: error.suggestedStatus, code: ErrorCode.invalidRequest,
                message: "The request is not valid HTTP/1.1: \(error). Mend the client or the proxy before Remora.")
        case .bodyTooLarge:
            Refusal(
                status: 413, code: ErrorCode.invalidRequest,
                message: "The request body is larger than limits.max_body. Send less, or raise the limit.")
        case .timedOut:
            Refusal(
                status: 408, code: ErrorCode.invalidRequest,
                message: "The request did not arrive in time (limits.header_timeout, limits.body_timeout). "
                    + "Send it again, whole.")
        }
    }

    static let originNotAllowed = Refusal(
        status: 403, code: ErrorCode.invalidRequest,
        message: "This Origin may not use the server. Add it to listen.allowed_origins if it should.")

    static let hostNotAllowed = Refusal(
        status: 421, code: ErrorCode.invalidRequest,
        message: "This server does not answer to that Host. Add it to listen.allowed_hosts if it should.")

    static func wrongPath(_ path: String) -> Refusal {
        Refusal(
            status: 404, code: ErrorCode.invalidRequest,
            message: "There is no MCP endpoint at this path. POST to \(path).")
    }

    /// - Parameter forwardsLegacyClients: whether clients of older revisions may use the methods that those have.
    static func wrongMethod(_ forwardsLegacyClients: Bool) -> Refusal {
        Refusal(
            status: 405, code: ErrorCode.invalidRequest,
            message: "MCP 2026-07-28 has no streams or sessions to GET or DELETE. POST one JSON-RPC request.",
            fields: [("allow", Array((forwardsLegacyClients ? "GET, POST, DELETE" : "POST").utf8))])
    }

    static let noMetadata = Refusal(
        status: 404, code: ErrorCode.invalidRequest,
        message: "The MCP server tells nothing about authorization here. It needs none, or is set up by other means: "
            + "ask its operator.")

    static let documentOnly = Refusal(
        status: 405, code: ErrorCode.invalidRequest, message: "This is a document. Send GET.",
        fields: [("allow", Array("GET".utf8))])

    static let formOnly = Refusal(
        status: 405, code: ErrorCode.invalidRequest, message: "This is an endpoint of OAuth 2.1. Send GET or POST.",
        fields: [("allow", Array("GET, POST".utf8))])

    static let wrongContentType = Refusal(
        status: 415, code: ErrorCode.invalidRequest,
        message: "The body must be JSON: send Content-Type: application/json.")
}

// MARK: The message

extension Refusal {
    static func notJSON(_ error: JSONTextError) -> Refusal {
        Refusal(
            status: 400, code: ErrorCode.parseError,
            message: "The body is not acceptable JSON: \(error). Send one JSON-RPC request in UTF-8.")
    }

    static func notAMessage(_ flaw: Envelope.Flaw) -> Refusal {
        Refusal(
            status: 400, code: ErrorCode.invalidRequest, message: "Not a JSON-RPC request: \(flaw.advice).")
    }

    static let response = Refusal(
        status: 400, code: ErrorCode.invalidRequest,
        message: "Clients do not send JSON-RPC responses in MCP 2026-07-28. Answer a question by sending the request "
            + "again with inputResponses.")

    static func headerMismatch(_ what: String) -> Refusal {
        Refusal(status: 400, code: ErrorCode.headerMismatch, message: "Header mismatch: \(what)")
    }

    /// A client of an older revision, which knows no header, or says so in it.
    static let noVersion = headerMismatch(
        "MCP-Protocol-Version is missing. This server speaks MCP \(Revision.modern.rawValue) only; "
            + "send that version in the header and in params._meta.")

    static func unsupportedVersion(_ requested: String) -> Refusal {
        var data = Array(#"{"supported":[""#.utf8)
        data.append(contentsOf: Revision.modern.rawValue.utf8)
        data.append(#""],"requested":"#)
        data.appendJSON(requested)
        data.append(UInt8(ascii: "}"))
        return Refusal(
            status: 400, code: ErrorCode.unsupportedProtocolVersion,
            message: "Unsupported protocol version. This server speaks MCP \(Revision.modern.rawValue) only: "
                + "send that version in the header and in params._meta, without initialize.",
            data: data)
    }

    static func malformed(_ what: String) -> Refusal {
        Refusal(status: 400, code: ErrorCode.invalidParams, message: "Invalid params: \(what)")
    }

    static func invalidParams(_ what: String) -> Refusal {
        Refusal(status: 200, code: ErrorCode.invalidParams, message: "Invalid params: \(what)")
    }

    /// Whatever is wrong with it: forged, of another caller or list, too old, or of a list that has changed since.
    static let invalidCursor = invalidParams("the cursor is not valid, or not any more. List again, without a cursor.")

    /// - Parameter method: as the client spelled it; it is cut, because it may be anything. By scalars: one character
    ///   can have any number of marks.
    static func methodNotFound(_ method: String, _ why: String) -> Refusal {
        Refusal(
            status: 404, code: ErrorCode.methodNotFound,
            message: "Method not found: \(String(String.UnicodeScalarView(method.unicodeScalars.prefix(64)))). \(why) "
                + "server/discover says what there is.")
    }

    /// A method of a capability that the server does not declare.
    static func undeclaredCapability(_ capability: ServerCapability, for method: Method) -> Refusal {
        var refusal = methodNotFound("\(method.name)", "This server has no \(capability.rawValue).")
        refusal.undeclared = capability
        return refusal
    }
}

// MARK: The backend

extension Refusal {
    /// `nil`: the client has left.
    ///
    /// - Parameter dropped: names of fields that look like credentials and were not forwarded.
    init?(_ error: BackendError, dropped: @autoclosure () -> [String] = []) {
        let detail = error.detail
        switch error.kind {
        case .cancelled:
            return nil
        case .unavailable:
            self.init(
                status: 503, reason: "backend_unavailable", dispatched: false,
                message: "The MCP server behind Remora cannot be reached: \(detail). Nothing was run. "
                    + "Try again shortly; if it stays so, check that the server runs and that backends[].url, or its command, is right.",
                retryAfter: 1)
        case .busy:
            self.init(
                status: 503, reason: "busy", dispatched: error.isOfBegunCall,
                message: "No session is free: \(detail). \(Refusal.whatWasRun(error)) "
                    + "Try again shortly; if it stays so, raise that limit.",
                retryAfter: 2, side: .remora)
        case .sessionLost:
            self.init(
                status: 503, reason: "session_lost", dispatched: false,
                message: "The MCP server forgets its sessions as soon as they are made. Nothing was run. "
                    + "If it has several replicas, it needs session affinity.")
        case .handleGone:
            self = .handleGone
        case .unauthorized(let status, let challenges):
            self.init(
                status: status, reason: "unauthorized", dispatched: error.isOfBegunCall,
                message: "The MCP server refused the credentials (HTTP \(status)). \(Refusal.whatWasRun(error)) "
                    + Refusal.dropAdvice(onDropped: dropped()))
            fields = challenges.map { ("www-authenticate", $0) }
        case .rejected:
            self.init(
                status: 200, reason: "backend_rejected", dispatched: true,
                message: "The MCP server rejected the request: \(detail). It was most likely not run; "
                    + "the server's log says why.")
        case .rateLimited(let retryAfter):
            self.init(
                status: 503, reason: "rate_limited", dispatched: error.isOfBegunCall,
                message: "The MCP server is rate limited: \(detail). \(Refusal.whatWasRun(error)) "
                    + "Try again when it lets you, as Retry-After says.")
            fields = [("retry-after", retryAfter ?? Array("1".utf8))]
        case .silent:
            self.init(
                status: 200, reason: "idle_timeout", dispatched: true,
                message: "No answer in time: \(detail). The call was cancelled, and may or may not have run: "
                    + "check before you call again.")
        case .overdue:
            self.init(
                status: 200, reason: "request_timeout", dispatched: true,
                message: "No answer in time: \(detail). The call was cancelled, and may or may not have run: "
                    + "check before you call again.")
        case .outcomeUnknown, .noAnswer:
            self.init(
                status: 200, reason: "outcome_unknown", dispatched: true,
                message: "The MCP server gave no usable answer: \(detail). The call may or may not have run: "
                    + "check before you call again.")
        }
    }

    /// Whatever was wrong with a handle. A call of a tool hears the same as a result (``RequestOutcome/handleGone(_:_:)``).
    static let handleGone = invalidParams(handleGoneText)

    static let handleGoneText =
        "This session_handle names no open session: it is not one of yours, was closed, has expired, or the MCP server has "
        + "lost the session. Nothing was run, and what the session kept is gone. Call the tool open_session "
        + "(remora_open_session, if the list of tools has that), and go on with the new handle."

    /// Of a request that reached no handler.
    private static func whatWasRun(_ error: BackendError) -> String {
        error.isOfBegunCall
            ? "The answers of this request were not delivered. The call may have partly run before it asked."
            : "Nothing was run."
    }

    private static func dropAdvice(onDropped names: [String]) -> String {
        if names.isEmpty { return "Authorize anew and try again." }
        let them = names.count == 1 ? "it" : "them"
        return "The request had \(names.joined(separator: ", ")), which did not go to the server: name \(them) in "
            + "backends[].headers.forward if the server wants \(them). Else authorize anew and try again."
    }

    /// The error of a request that was forwarded.
    ///
    /// - Parameter hasID: whether it is a JSON-RPC request, which 200 and an error can answer. Anything else, such as the GET
    ///   of a stream, gets a status that says the same (RFC 9110 §15.6.3, §15.6.5).
    init?(_ error: BackendError, hasID: Bool) {
        self.init(error)
        guard !hasID, status == 200 else { return }
        let isTimeout = error.kind == .silent || error.kind == .overdue
        self.init(status: isTimeout ? 504 : 502, code: code, message: message, data: data, fields: fields, side: side)
    }

    /// The error with its challenges changed by `change`.
    func mappingChallenges(_ change: ([UInt8]) -> [UInt8]) -> Refusal {
        var refusal = self
        refusal.fields = fields.map { field in
            "\(field.name)" == "www-authenticate" ? (field.name, change(field.value)) : field
        }
        return refusal
    }

    /// An error that is not the server's own answer (docs/translation.md §9). 200 says "do not send it again blindly", where the call
    /// may have run: clients and balancers retry a 502 or 503.
    ///
    /// - Parameters:
    ///   - dispatched: whether the request can have reached a handler; of a retry, whether the call can.
    ///   - retryAfter: seconds.
    init(
        status: Int, reason: StaticString, dispatched: Bool, message: String, retryAfter: Int? = nil,
        side: Side = .backend
    ) {
        let data = #"{"reason":"\#(reason)","dispatched":\#(dispatched)}"#
        self.init(
            status: status, code: ErrorCode.internalError, message: message, data: Array(data.utf8), side: side)
        if let retryAfter { fields = [("retry-after", Array("\(retryAfter)".utf8))] }
    }
}

// MARK: What the client did not declare

extension Refusal {
    /// The server needs to ask what this client cannot be asked (basic/index, "Per-request protocol fields").
    ///
    /// - Parameter hasRun: whether the call ran until the server asked.
    static func missingCapabilities(_ missing: InputCapabilities, hasRun: Bool) -> Refusal {
        let required = missing.requiredCapabilities
        return Refusal(
            status: 400, code: ErrorCode.missingRequiredClientCapability,
            message: "The server has to ask for something that this client did not declare. Declare "
                + String(decoding: required, as: UTF8.self) + " in clientCapabilities, or use a client that can."
                + (hasRun
                    ? " The call ran until it asked, and failed then: check what it did before you call again." : ""),
            data: Array(#"{"requiredCapabilities":"#.utf8) + required + Array("}".utf8))
    }

    /// The extension for tasks is needed, and the client did not declare it (ext-tasks, "Capability Negotiation").
    ///
    /// - Parameter hasRun: whether a call ran for as long as any may, and was cancelled.
    static func needsTasks(hasRun: Bool) -> Refusal {
        Refusal(
            status: 400, code: ErrorCode.missingRequiredClientCapability,
            message: (hasRun
                ? "The tool runs as a task, and took longer than limits.request_timeout. It was cancelled, and may have "
                    + "partly run: check before you call again. "
                : "")
                + #"Declare "io.modelcontextprotocol/tasks" in extensions of clientCapabilities, or use a client that can."#,
            data: Array(#"{"requiredCapabilities":{"extensions":{"io.modelcontextprotocol/tasks":{}}}}"#.utf8))
    }
}
