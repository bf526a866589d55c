package import JSONText
import MCP

/// Questions to the client in the place of an answer (2026-07-28, basic/patterns/mrtr).
package enum MultiRoundTrip {
    /// A whole response to `request`: an `InputRequiredResult`, which has no cache fields.
    ///
    /// - Parameters:
    ///   - questions: at least one; without, it is an error.
    ///   - requestState: ASCII that needs no escaping.
    ///   - serverInfo: of the handshake, as the server spelled it.
    package static func inputRequired(
        _ questions: [(key: String, request: InputRequest)], requestState: [UInt8], serverInfo: [UInt8],
        answering request: ModernRequest
    ) -> [UInt8] {
        guard !questions.isEmpty else {
            // Only a mistake of Remora's own gets here. Clients of some SDKs would hand this result to their caller.
            return ServerRequest.errorResponse(
                id: Array(request.rawID), code: ErrorCode.internalError,
                message: "Remora asks without a question: please report this. Send the request again.")
        }
        var text = ResponseText.resultHead(id: request.rawID)
        text.append(#"{"resultType":"input_required","inputRequests":{"#)
        for (index, question) in questions.enumerated() {
            if index > 0 { text.append(",") }
            text.appendJSON(question.key)
            text.append(":")
            text.append(contentsOf: question.request.text)
        }
        text.append(#"},"requestState":""#)
        text.append(contentsOf: requestState)
        text.append(#"","_meta":{"io.modelcontextprotocol/serverInfo":"#)
        text.append(contentsOf: serverInfo)
        text.append("}}}")
        return text
    }

    /// A whole response to a `tools/call` that came to no end: the model reads it, and can do something about it
    /// (server/tools, "Error Handling").
    ///
    /// - Parameter serverInfo: nil where no session is left that would know it.
    package static func toolFailure(
        _ what: String, serverInfo: [UInt8]?, answering request: ModernRequest
    ) -> [UInt8] {
        var text = ResponseText.resultHead(id: request.rawID)
        text.append(#"{"resultType":"complete","content":[{"type":"text","text":"#)
        text.appendJSON(what)
        text.append(#"}],"isError":true"#)
        if let serverInfo {
            text.append(#","_meta":{"io.modelcontextprotocol/serverInfo":"#)
            text.append(contentsOf: serverInfo)
            text.append("}")
        }
        text.append("}}")
        return text
    }
}

/// The error `-32042` of 2025-11-25: the call did not run, because the user has to visit pages first (2025-11-25,
/// client/elicitation, "URL Elicitation Required Error").
package enum URLElicitationRequired: Equatable, Sendable {
    /// The client is to be asked, and the call to be sent again afterwards.
    case ask([InputRequest])
    /// The client did not declare that it opens pages.
    case missing(InputCapabilities)

    /// Nil for any other error, and for one that names no pages: `ErrorTranslation` has an answer for these, with what the
    /// server said in `data`.
    ///
    /// - Parameter declared: what the client of the call can be asked; its answer can be a question.
    package init?(_ error: JSONValue, in document: JSONDocument, declared: InputCapabilities) {
        guard
            document.value("code", of: error).flatMap({ document.integer($0) })
                == Int64(ErrorCode.legacyURLElicitationRequired),
            let data = document.value("data", of: error),
            let elicitations = document.value("elicitations", of: data, .array)
        else { return nil }
        var questions: [InputRequest] = []
        for elicitation in document.elements(of: elicitations) {
            guard questions.count < Self.maxQuestions,
                document.value("mode", of: elicitation).map({ document.string($0, equals: "url") }) == true,
                !document.hasDuplicateNames(elicitation),
                let question = Elicitation.urlRequest(elicitation, in: document, id: nil, wishedKeys: [])
            else { return nil }
            questions.append(question)
        }
        guard !questions.isEmpty else { return nil }
        self = declared.contains(.url) ? .ask(questions) : .missing(.url)
    }

    /// A server that names more pages than a person visits for one call is not taken at its word.
    private static let maxQuestions = 32
}
