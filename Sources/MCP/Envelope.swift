package import JSONText

/// A JSON-RPC message that came in: where its parts are in the text.
///
/// It only sorts. Whether a version, a header or a parameter is acceptable is decided by who asked for the message.
package struct Envelope: Sendable {
    package enum Kind: Sendable {
        case request(id: JSONValue, method: JSONValue)
        case notification(method: JSONValue)
        /// A result or an error; `id` is nil in an error to a request that could not be read.
        case response(id: JSONValue?, outcome: Outcome)
        /// A response of which nothing is clear but what it answers: it has two outcomes or none, or breaks off. Of servers only.
        case unclear(id: JSONValue)
    }

    package enum Outcome: Sendable {
        case result(JSONValue)
        case error(JSONValue)

        package var isError: Bool { if case .error = self { true } else { false } }
    }

    /// Why a text is JSON and yet no message.
    package enum Flaw: Error, Sendable {
        case notAnObject
        case batch
        case duplicateMember
        case wrongVersion
        case invalidID
        case invalidMethod
        case paramsNotAnObject
        case neitherRequestNorResponse
        case tooManyMembers

        /// What is wrong and what to send instead.
        package var advice: String {
            switch self {
            case .notAnObject: "the body is not a JSON object; send one JSON-RPC request"
            case .batch: "batches were removed from MCP; send each request as its own POST"
            case .duplicateMember:
                "a member occurs twice in the message, in params or in _meta, or _meta has thousands; send each name once"
            case .wrongVersion: "the member \"jsonrpc\" must be the string \"2.0\""
            case .invalidID: "the member \"id\" must be a string or an integer"
            case .invalidMethod: "the member \"method\" must be a string"
            case .paramsNotAnObject: "the member \"params\" must be an object"
            case .tooManyMembers: "the message or its params have hundreds of members; send the few that the method has"
            case .neitherRequestNorResponse: "the message has no \"method\"; send one JSON-RPC request"
            }
        }
    }

    package let document: JSONDocument
    package let kind: Kind
    package let params: JSONValue?
    /// The `_meta` object of the params, if there is one.
    package let meta: JSONValue?

    package init(_ document: JSONDocument) throws(Flaw) {
        let root = document.root
        if root.kind == .array { throw .batch }
        guard root.kind == .object else { throw .notAnObject }
        guard document.isQuick(root) else { throw .tooManyMembers }
        // Two parsers that choose different ones of two equal names are a way past the check of the first.
        guard !document.hasDuplicateNames(root) else { throw .duplicateMember }
        guard let version = document.value("jsonrpc", of: root), document.string(version, equals: "2.0") else {
            throw .wrongVersion
        }
        let params = document.value("params", of: root)
        // Not before it is known that params are looked up quickly.
        let meta = params.flatMap { document.isQuick($0) ? document.value("_meta", of: $0, .object) : nil }
        let kind = try Envelope.messageKind(of: document)
        if let params {
            guard params.kind == .object else { throw .paramsNotAnObject }
            guard document.isQuick(params) else { throw .tooManyMembers }
            guard !document.hasDuplicateNames(params) else { throw .duplicateMember }
            if let meta, document.hasDuplicateNames(meta) { throw .duplicateMember }
        }
        // Last, when nothing throws any more: what was set before would be copied.
        self.document = document
        self.kind = kind
        self.params = params
        self.meta = meta
    }

    init(_ document: JSONDocument, _ kind: Kind) {
        self.document = document
        self.kind = kind
        params = nil
        meta = nil
    }

    /// Whether it is a request with this id, as the other side spelled it.
    package func isRequest(withID rawID: [UInt8]) -> Bool {
        guard case .request(let id, _) = kind else { return false }
        return document.raw(id).elementsEqual(rawID)
    }

    private static func messageKind(of document: JSONDocument) throws(Flaw) -> Kind {
        let root = document.root
        let id = document.value("id", of: root)
        if let id, !Envelope.isValidID(id, in: document) {
            // JSON-RPC knows `null` as the id of an error whose request could not be read.
            let isError = id.kind == .null && document.value("error", of: root) != nil
            guard isError else { throw .invalidID }
        }
        if let method = document.value("method", of: root) {
            guard method.kind == .string else { throw .invalidMethod }
            guard let id else { return .notification(method: method) }
            guard id.kind != .null else { throw .invalidID }
            return .request(id: id, method: method)
        }
        let spoken = id?.kind == .null ? nil : id
        if let result = document.value("result", of: root) { return .response(id: spoken, outcome: .result(result)) }
        if let error = document.value("error", of: root) { return .response(id: spoken, outcome: .error(error)) }
        throw .neitherRequestNorResponse
    }

    /// A string or an integer, as MCP narrows JSON-RPC's ids (basic/index, "Requests"). Integers may be of any size.
    package static func isValidID(_ id: JSONValue, in document: JSONDocument) -> Bool {
        switch id.kind {
        case .string: true
        case .number: document.isSpelledAsInteger(id)
        case .object, .array, .boolean, .null: false
        }
    }

    /// The id of a text that may be no proper message, for the error that answers it; nil when there is not exactly
    /// one.
    package static func id(of document: JSONDocument) -> JSONValue? {
        let ids = document.members(of: document.root).filter { document.name(of: $0, equals: "id") }
        guard ids.count == 1, let id = ids.first?.value, isValidID(id, in: document) else { return nil }
        return id
    }
}
