package import JSONText
import MCP

/// A legacy error as a modern client reads it.
package struct TranslatedError: Sendable {
    /// The code that the client gets; it decides the HTTP status.
    package let code: Int
    /// The whole response.
    package let text: SplicedText
}

/// Legacy errors as modern ones.
package enum ErrorTranslation {
    /// What a legacy error is in 2026-07-28.
    private enum Meaning {
        /// What its code says.
        case same(Int)
        /// What the request names does not exist (server/resources, server/tools, server/prompts, "Error Handling").
        case notFound
        /// Its code is none that a server may use here (basic/index, "Error Codes").
        case misplaced

        var code: Int {
            switch self {
            case .same(let code): code
            case .notFound: ErrorCode.invalidParams
            case .misplaced: ErrorCode.internalError
            }
        }
    }

    /// A whole response to `request`, made of the legacy `error`. Message and data stay as the server wrote them.
    package static func modernError(
        _ error: JSONValue, in document: JSONDocument, answering request: ModernRequest
    ) throws(TranslationError) -> TranslatedError {
        guard error.kind == .object else { throw .notAnObject }
        var splice = JSONSplice(document)
        let legacy = document.value("code", of: error).flatMap { document.integer($0) }
        let meaning = errorMeaning(of: error, in: document, code: legacy, answering: request)
        // Of several codes, a client may read another than Remora did: one is left.
        if legacy != Int64(meaning.code) || document.hasDuplicateNames(error) {
            splice.setMember("code", to: Array(String(meaning.code).utf8), in: error, at: .start)
        }
        switch meaning {
        case .misplaced:
            if let legacy {
                splice.setMember("data", to: misplacedData(legacy, of: error, in: document), in: error, at: .end)
            }
        case .notFound:
            if let uri = requestedURI(of: request) {
                appendMissingName(request.document.raw(uri), in: error, of: document, &splice)
            }
        case .same:
            break
        }
        if document.value("message", of: error, .string) == nil {
            splice.setMember("message", to: "\"The server gave no message.\"", in: error, at: .end)
        }
        var text = SplicedText(ResponseText.errorHead(id: request.rawID))
        splice.renderValue(error, to: &text)
        text.append("}")
        return TranslatedError(code: meaning.code, text: text)
    }

    /// The error of a call that ran as a task, as an object for the task: what ``modern(_:in:answering:)`` makes of an error of
    /// `tools/call`, without its words about sessions and resources, which a task has none of.
    static func taskError(_ error: JSONValue, in document: JSONDocument) throws(TranslationError) -> [UInt8] {
        guard error.kind == .object else { throw .notAnObject }
        var splice = JSONSplice(document)
        let legacy = document.value("code", of: error).flatMap { document.integer($0) }
        let code: Int
        switch legacy.flatMap({ Int(exactly: $0) }) {
        case nil, ErrorCode.legacyResourceNotFound?: code = ErrorCode.internalError
        case let spelled? where ErrorCode.reservedForSpecification.contains(spelled): code = ErrorCode.internalError
        case ErrorCode.methodNotFound?: code = ErrorCode.invalidParams
        case let spelled?: code = spelled
        }
        if legacy != Int64(code) || document.hasDuplicateNames(error) {
            splice.setMember("code", to: Array(String(code).utf8), in: error, at: .start)
        }
        if let legacy, code == ErrorCode.internalError, legacy != Int64(code) {
            splice.setMember("data", to: misplacedData(legacy, of: error, in: document), in: error, at: .end)
        }
        if document.value("message", of: error, .string) == nil {
            splice.setMember("message", to: "\"The server gave no message.\"", in: error, at: .end)
        }
        var text: [UInt8] = []
        splice.renderedText(error).append(to: &text)
        return text
    }

    private static func errorMeaning(
        of error: JSONValue, in document: JSONDocument, code: Int64?, answering request: ModernRequest
    ) -> Meaning {
        // A code that is no integer, or of an unknown spelling, says as little as one out of place.
        guard let code, let code = Int(exactly: code) else { return .misplaced }
        switch code {
        case ErrorCode.legacyResourceNotFound:
            return requestedURI(of: request) != nil ? .notFound : .misplaced
        case ErrorCode.methodNotFound where request.method.noun != nil:
            // The method exists: the capability is advertised. Many servers say this of an unknown tool or prompt.
            return .notFound
        case ErrorCode.missingRequiredClientCapability:
            return MissingCapabilities.isRight(error, in: document, answering: request) ? .same(code) : .misplaced
        case ErrorCode.reservedForSpecification:
            // A stray -32022 would send the client looking for another version.
            return .misplaced
        default:
            return saysNotFound(error, in: document, code: code, answering: request) ? .notFound : .same(code)
        }
    }

    /// Whether the words say what the code does not. A server of resources has to answer with `-32602` then, whatever it said;
    /// elsewhere words count only beside a code that means nothing.
    private static func saysNotFound(
        _ error: JSONValue, in document: JSONDocument, code: Int, answering request: ModernRequest
    ) -> Bool {
        guard request.method == .readResource || code == 0 || code == ErrorCode.internalError,
            let message = document.value("message", of: error, .string)
        else { return false }
        return NotFoundWords.sayNotFound(message, in: document, of: request.method)
    }

    /// The resource that the request is about.
    private static func requestedURI(of request: ModernRequest) -> JSONValue? {
        let document = request.document
        switch request.method.parameters {
        case .uri, .unknown:
            return document.value("uri", of: request.params, .string)
        case .completion:
            return document.value("ref", of: request.params, .object)
                .flatMap { document.value("uri", of: $0, .string) }
        case .name, .cursor, .task, .none:
            return nil
        }
    }

    /// `data.uri`, which says what was not found; one that the server named stays.
    private static func appendMissingName(
        _ uri: ArraySlice<UInt8>, in error: JSONValue, of document: JSONDocument, _ splice: inout JSONSplice
    ) {
        let original = document.value("data", of: error)
        if let original, original.kind == .object {
            if document.value("uri", of: original) == nil { splice.setMember("uri", to: Array(uri), in: original) }
            return
        }
        var data = Array(#"{"uri":"#.utf8)
        data.append(contentsOf: uri)
        appendData(original, of: document, to: &data)
        splice.setMember("data", to: data, in: error, at: .end)
    }

    /// `data` that still says which code the server used, and what it added.
    private static func misplacedData(_ code: Int64, of error: JSONValue, in document: JSONDocument) -> [UInt8] {
        var data = Array(#"{"legacyCode":"#.utf8)
        data.append(contentsOf: String(code).utf8)
        appendData(document.value("data", of: error), of: document, to: &data)
        return data
    }

    /// Ends an object with the `data` of the server, if there was any.
    private static func appendData(_ original: JSONValue?, of document: JSONDocument, to data: inout [UInt8]) {
        if let original, original.kind != .null {
            data.append(#","legacyData":"#)
            data.append(contentsOf: document.raw(original))
        }
        data.append(UInt8(ascii: "}"))
    }
}
