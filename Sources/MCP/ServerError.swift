import JSONText

/// The member `error` of a server's response, whatever it is instead of an object with an integer as its code (JSON-RPC 2.0
/// §5.1).
enum ServerError {
    /// Whether it means that there is an error, where there is no result.
    static func isOne(_ error: JSONValue, in document: JSONDocument) -> Bool {
        switch error.kind {
        case .null: false
        case .boolean: document.boolean(error) == true
        case .string: error.count > 2
        case .object, .array, .number: true
        }
    }

    /// Whether it means so beside a result, too: writers of all members have an empty one there.
    static func saysSomething(_ error: JSONValue, in document: JSONDocument) -> Bool {
        guard error.kind == .object else { return isOne(error, in: document) }
        let (code, message) = (document.value("code", of: error), document.value("message", of: error))
        return (code.map { $0.kind != .null && document.wholeNumber($0) != 0 } ?? false)
            || (message.map { $0.kind != .null && !document.string($0, equals: "") } ?? false)
            || (document.value("data", of: error).map { $0.kind != .null } ?? false)
    }

    /// Whether it is an object whose code, where that is a whole number, is spelled as one.
    static func isWellFormed(_ error: JSONValue, in document: JSONDocument) -> Bool {
        guard error.kind == .object else { return false }
        guard let code = document.value("code", of: error) else { return true }
        return document.integer(code) != nil || document.wholeNumber(code) == nil
    }

    /// Appends the error that it can only mean: with its code as an integer; a text as the message; anything else as the data.
    static func appendError(_ error: JSONValue, in document: JSONDocument, to text: inout [UInt8]) {
        switch error.kind {
        case .object:
            var splice = JSONSplice(document)
            if let code = document.value("code", of: error).flatMap({ document.wholeNumber($0) }) {
                splice.setMember("code", to: Array(String(code).utf8), in: error)
            }
            splice.renderedText(error).append(to: &text)
        case .string:
            text.append(#"{"code":-32603,"message":"#)
            text += document.raw(error)
            text.append("}")
        case .array, .number, .boolean, .null:
            text.append(#"{"code":-32603,"message":"The server gave no message.","data":"#)
            text += document.raw(error)
            text.append("}")
        }
    }
}
