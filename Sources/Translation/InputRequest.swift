import JSONText
package import MCP

/// A question of a legacy server, as it stands in `inputRequests` (2026-07-28, basic/patterns/mrtr).
package struct InputRequest: Equatable, Sendable {
    package enum Kind: Equatable, Sendable {
        case form
        /// The client sends its user to a page. `elicitationID` is what `notifications/elicitation/complete` will name,
        /// which 2026-07-28 no longer has.
        case url(elicitationID: [UInt8]?)
        case sampling
        case roots
    }

    package let kind: Kind
    /// The id of the server's request as it spelled it: servers compare the type too, and 0 is an id. Nil when the server
    /// asked by an error and waits for no answer.
    package let legacyID: [UInt8]?
    /// Of the server's whole message; nil where that is not known any more. It tells apart questions with one id.
    package private(set) var messageHash: Int?
    /// How often streams of its session had been taken up again when it came.
    package var resumptions = 0
    /// What a client has to declare to be asked this.
    package let needs: InputCapabilities
    /// The value in `inputRequests`, as JSON. Empty where it is not known any more.
    package let text: [UInt8]
    /// Names by which the client could know the question, the best first; none of them has to be free.
    package let wishedKeys: [String]

    /// Bytes of an id: it is remembered after its question was answered.
    package static let maxID = 256
    /// Bytes of a key: it is told in errors, and kept by both sides.
    private static let maxKey = 128

    /// Reads a request of the server. What is not the frame, nor for the server alone, stays byte for byte.
    ///
    /// - Parameter declared: what the client of this call can be asked.
    /// - Throws: what to answer the server instead, when the client cannot be asked.
    package init(_ message: Envelope, declared: InputCapabilities) throws(RefusedInput) {
        // Who listens to questions is told of requests alone.
        guard case .request(let id, let method) = message.kind else { throw .malformedInput("no request", id: []) }
        let document = message.document
        let legacyID = Array(document.raw(id))
        guard legacyID.count <= InputRequest.maxID else {
            throw .malformedInput("the id must have at most \(InputRequest.maxID) bytes", id: legacyID)
        }
        if document.string(method, equals: "elicitation/create") {
            self = try Elicitation.elicitationRequest(message, id: legacyID)
        } else if document.string(method, equals: "sampling/createMessage") {
            self = try Sampling.samplingRequest(message, id: legacyID, declared: declared)
        } else if document.string(method, equals: "roots/list") {
            self = Roots.rootsRequest(message, id: legacyID)
        } else {
            throw RefusedInput(reply: ServerRequest.methodNotFound(id: legacyID[...]))
        }
        messageHash = InputRequest.hash(of: message)
        let missing = needs.subtracting(declared)
        guard missing.isEmpty else { throw RefusedInput(missing, in: self, id: legacyID) }
    }

    /// A question that was asked already, of which nothing else is known any more. It can be answered, and not asked again.
    package init(asked kind: Kind, legacyID: [UInt8]) {
        self.kind = kind
        self.legacyID = legacyID
        needs = []
        text = []
        wishedKeys = []
    }

    /// Different in each process.
    package static func hash(of message: Envelope) -> Int {
        var hasher = Hasher()
        message.document.bytes.withUnsafeBytes { hasher.combine(bytes: $0) }
        return hasher.finalize()
    }

    /// Whether the client can be asked it.
    package var isKnown: Bool { !text.isEmpty }

    init(
        _ kind: Kind, legacyID: [UInt8]?, needs: InputCapabilities, method: StaticString, params: SplicedText?,
        wishedKeys: [String]
    ) {
        self.kind = kind
        self.legacyID = legacyID
        self.needs = needs
        self.wishedKeys = wishedKeys.filter { !$0.isEmpty && $0.utf8.count <= InputRequest.maxKey }
        var text = Array(#"{"method":""#.utf8)
        text.append(method)
        text.append("\"")
        if let params {
            text.append(#","params":"#)
            params.append(to: &text)
        }
        text.append("}")
        self.text = text
    }

    /// The key that the server wishes for in `_meta`, if it is one.
    static func wishedKey(in message: Envelope) -> String? {
        guard let meta = message.meta, let key = message.document.value(MetaKey.inputKey, of: meta) else { return nil }
        return message.document.string(key)
    }

    /// What the server gets when its call was given up with the question open.
    package var leftover: [UInt8]? {
        guard let legacyID else { return nil }
        switch kind {
        case .form, .url:
            return ResponseText.resultHead(id: legacyID[...]) + #"{"action":"cancel"}}"#.utf8
        case .sampling:
            // As a person who says no (2025-11-25, client/sampling, "Error Handling").
            return ResponseText.errorHead(id: legacyID[...])
                + #"{"code":-1,"message":"User rejected sampling request"}}"#.utf8
        case .roots:
            return ResponseText.errorHead(id: legacyID[...])
                + #"{"code":-32603,"message":"The client did not come back with its roots"}}"#.utf8
        }
    }
}

/// A question that the client is not asked.
package struct RefusedInput: Error, Equatable, Sendable {
    /// The response to the server.
    package let reply: [UInt8]
    /// What the client would have had to declare; nothing when the question itself is at fault.
    package let missing: InputCapabilities

    init(reply: [UInt8], missing: InputCapabilities = []) {
        self.reply = reply
        self.missing = missing
    }

    /// "Method not found", as from a client that never heard of it; of a mode of elicitation, "Invalid params"
    /// (2025-11-25, client/elicitation, "Error Handling").
    fileprivate init(_ missing: InputCapabilities, in request: InputRequest, id: [UInt8]) {
        switch request.kind {
        case .form, .url:
            self.init(
                reply: ServerRequest.errorResponse(
                    id: id, code: ErrorCode.invalidParams, message: "The client has no elicitation of this mode"),
                missing: missing)
        case .sampling, .roots:
            self.init(reply: ServerRequest.methodNotFound(id: id[...]), missing: missing)
        }
    }

    static func malformedInput(_ what: String, id: [UInt8]) -> RefusedInput {
        RefusedInput(
            reply: ServerRequest.errorResponse(
                id: id, code: ErrorCode.invalidParams, message: "Invalid params: \(what)"))
    }

    /// The server asks when no more questions can wait for their answers.
    package static func tooMany(_ question: InputRequest) -> RefusedInput {
        RefusedInput(
            reply: ServerRequest.errorResponse(
                id: question.legacyID ?? [], code: ErrorCode.internalError,
                message: "Too many questions wait for an answer. Try again later."))
    }
}
