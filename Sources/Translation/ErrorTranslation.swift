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
    /// A whole response to `request`, made of the legacy `error`. Message and data stay as the server wrote them.
    package static func modern(
        _ error: JSONValue, in document: JSONDocument, answering request: ModernRequest
    ) throws(TranslationError) -> TranslatedError {
        guard error.kind == .object else { throw .notAnObject }
        var splice = JSONSplice(document)
        let spelled = document.value("code", of: error)
        let legacy = spelled.flatMap { document.integer($0) }
        let code = modernCode(legacy, for: request.method)
        // A code that is no integer, or of an unknown spelling, becomes an internal error like a reserved one.
        // Of several codes, a client may read another than Remora did: one is left.
        if legacy != Int64(code) || document.hasDuplicateNames(error) {
            splice.set("code", to: Array(String(code).utf8), in: error, at: .start)
        }
        if code == ErrorCode.internalError, let legacy, legacy != ErrorCode.internalError {
            splice.set("data", to: reservedCodeData(legacy, of: error, in: document), in: error, at: .end)
        }
        if document.value("message", of: error, .string) == nil {
            splice.set("message", to: "\"The server gave no message.\"", in: error, at: .end)
        }
        var text = SplicedText(ResponseText.errorHead(id: request.rawID))
        splice.render(error, to: &text)
        text.append("}")
        return TranslatedError(code: code, text: text)
    }

    static func modernCode(_ legacy: Int64?, for method: Method) -> Int {
        guard let legacy, let code = Int(exactly: legacy) else { return ErrorCode.internalError }
        switch code {
        case ErrorCode.legacyResourceNotFound where method == .readResource:
            return ErrorCode.invalidParams
        case ErrorCode.methodNotFound where method.namesSomething:
            // The method exists: the capability is advertised. Many servers say this of an unknown tool or prompt.
            return ErrorCode.invalidParams
        case ErrorCode.reservedForSpecification:
            // A stray -32022 would send the client looking for another version.
            return ErrorCode.internalError
        default:
            return code
        }
    }

    /// `data` that still says which reserved code the server used, and what it added.
    private static func reservedCodeData(_ code: Int64, of error: JSONValue, in document: JSONDocument) -> [UInt8] {
        var data = Array(#"{"legacyCode":"#.utf8)
        data.append(contentsOf: String(code).utf8)
        if let original = document.value("data", of: error) {
            data.append(#","legacyData":"#)
            data.append(contentsOf: document.raw(original))
        }
        data.append(UInt8(ascii: "}"))
        return data
    }
}
