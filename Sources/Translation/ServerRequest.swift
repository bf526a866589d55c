import JSONText
package import MCP

/// What Remora says to a legacy server on its own account.
package enum ServerRequest {
    /// The empty result, as `pingRequest` wants it.
    package static func emptyResult(id: ArraySlice<UInt8>) -> [UInt8] {
        ResponseText.resultHead(id: id) + "{}}".utf8
    }

    /// A result as the answer to a request of the server.
    ///
    /// - Parameter result: as JSON.
    package static func resultResponse(_ result: [UInt8], id: ArraySlice<UInt8>) -> [UInt8] {
        var text = ResponseText.resultHead(id: id)
        text.append(contentsOf: result)
        text.append("}")
        return text
    }

    /// An error as the answer to a request of the server.
    static func errorResponse(id: [UInt8], code: Int, message: String) -> [UInt8] {
        var text = ResponseText.errorHead(id: id[...])
        text.append(#"{"code":"#)
        text.appendJSON(code)
        text.append(#","message":"#)
        text.appendJSON(message)
        text.append("}}")
        return text
    }

    /// "Method not found", to a request for which no capability was declared.
    package static func methodNotFound(id: ArraySlice<UInt8>) -> [UInt8] {
        ResponseText.errorHead(id: id) + #"{"code":-32601,"message":"Method not found"}}"#.utf8
    }

    /// A page of a list.
    ///
    /// - Parameter cursor: as the server spelled it, with its quotes; nil for the first page.
    package static func listRequest(_ method: Method, id: Int, cursor: [UInt8]?) -> [UInt8] {
        var text: [UInt8] = []
        text.append(#"{"jsonrpc":"2.0","id":"#)
        text.appendJSON(id)
        text.append(#","method":""#)
        text.append(method.name)
        text.append(#"","params":{"#)
        if let cursor {
            text.append(#""cursor":"#)
            text.append(contentsOf: cursor)
        }
        text.append("}}")
        return text
    }

    /// `logging/setLevel`.
    package static func setLevel(_ level: LoggingLevel, id: Int) -> [UInt8] {
        var text: [UInt8] = []
        text.append(#"{"jsonrpc":"2.0","id":"#)
        text.appendJSON(id)
        text.append(#","method":"logging/setLevel","params":{"level":"#)
        text.appendJSON(level.rawValue)
        text.append("}}")
        return text
    }

    /// `resources/subscribe`.
    ///
    /// - Parameter uri: in UTF-8.
    package static func subscribeRequest(to uri: [UInt8], id: Int) -> [UInt8] {
        aboutResource(uri, #","method":"resources/subscribe","params":{"uri":"#, id: id)
    }

    /// `resources/unsubscribe`.
    package static func unsubscribeRequest(from uri: [UInt8], id: Int) -> [UInt8] {
        aboutResource(uri, #","method":"resources/unsubscribe","params":{"uri":"#, id: id)
    }

    private static func aboutResource(_ uri: [UInt8], _ request: StaticString, id: Int) -> [UInt8] {
        var text: [UInt8] = []
        text.append(#"{"jsonrpc":"2.0","id":"#)
        text.appendJSON(id)
        text.append(request)
        text.appendJSON(utf8: uri[...])
        text.append("}}")
        return text
    }

    /// `pingRequest`, which any session that lives answers (basic/utilities/ping).
    package static func pingRequest(id: Int) -> [UInt8] {
        var text: [UInt8] = []
        text.append(#"{"jsonrpc":"2.0","id":"#)
        text.appendJSON(id)
        text.append(#","method":"ping"}"#)
        return text
    }

    /// `notifications/cancelled` for a request of a client, with the id as the client spelled it.
    package static func cancelNotification(rawID: [UInt8], reason: String) -> [UInt8] {
        var text = Array(#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"#.utf8)
        text += rawID
        text.append(#","reason":"#)
        text.appendJSON(reason)
        text.append("}}")
        return text
    }

    /// `notifications/cancelled` for a request of ours (2025-11-25, basic/utilities/cancellation). The id is a number,
    /// as it was in the request: servers compare the type too.
    package static func cancelNotification(requestID: Int, reason: String) -> [UInt8] {
        cancelNotification(rawID: Array(String(requestID).utf8), reason: reason)
    }
}
