import JSONText
package import MCP

/// `inputResponses` of a retry (2026-07-28, basic/patterns/mrtr).
package struct InputResponses: Sendable {
    /// More are no answers: a call has far fewer questions open.
    private static let maxCount = 1000

    private let document: JSONDocument
    /// By their keys, looked up once: each may be large, and a call asks for each of its questions.
    private let responses: [String: JSONValue]

    /// The responses of a request; none if it has no `inputResponses`.
    package init(of request: ModernRequest) throws(InputFlaw) {
        document = request.document
        guard let responses = document.value("inputResponses", of: request.params) else {
            self.responses = [:]
            return
        }
        let isTooLong = document.members(of: responses).dropFirst(InputResponses.maxCount).contains { _ in true }
        guard responses.kind == .object, !isTooLong, !document.hasDuplicateNames(responses)
        else { throw InputFlaw("it must be an object with an answer for each key, and each key once") }
        self.responses = InputResponses.byKey(responses, in: document)
    }

    /// Answers that were kept, each as JSON that came in a request.
    package init(_ answers: [(key: String, text: [UInt8])]) throws(InputFlaw) {
        var text: [UInt8] = Array("{".utf8)
        for (index, answer) in answers.enumerated() {
            if index > 0 { text.append(",") }
            text.appendJSON(answer.key)
            text.append(":")
            text += answer.text
        }
        text.append("}")
        do {
            document = try JSONDocument(text)
        } catch {
            throw InputFlaw("it must be JSON")
        }
        guard !document.hasDuplicateNames(document.root) else { throw InputFlaw("each key once") }
        responses = InputResponses.byKey(document.root, in: document)
    }

    private static func byKey(_ responses: JSONValue, in document: JSONDocument) -> [String: JSONValue] {
        var found: [String: JSONValue] = [:]
        document.forEachMember(of: responses) { member in
            let name = document.name(of: member)
            // Of names that differ in bytes and are one to Unicode, the first counts.
            if found[name] == nil { found[name] = member.value }
        }
        return found
    }

    /// The keys of all answers, in no order.
    package var keys: [String] { Array(responses.keys) }

    /// The answer with this key, as the client spelled it; nil when there is none.
    package func answerText(_ key: String) -> [UInt8]? {
        responses[key].map { Array(document.raw($0)) }
    }

    /// The answer with this key as the server of that revision reads it; nil when there is none.
    package func inputAnswer(
        _ key: String, to question: InputRequest, in revision: Revision
    ) throws(InputFlaw) -> InputAnswer? {
        guard let response = responses[key] else { return nil }
        do throws(InputFlaw) {
            return try inputAnswer(response, to: question, in: revision)
        } catch {
            throw InputFlaw(error.what, key: key)
        }
    }

    private func inputAnswer(
        _ response: JSONValue, to question: InputRequest, in revision: Revision
    ) throws(InputFlaw) -> InputAnswer {
        guard response.kind == .object, !document.hasDuplicateNames(response) else {
            throw InputFlaw("it must be an object with each member once")
        }
        var splice = JSONSplice(document)
        if let meta = document.value("_meta", of: response) {
            splice.removeMembers(from: meta) { document.hasName($0, prefix: MetaKey.protocolPrefix) }
        }
        var isAccepted = true
        switch question.kind {
        case .form:
            isAccepted = try Elicitation.elicitationAnswer(response, of: document, hasContent: true, &splice)
        case .url:
            isAccepted = try Elicitation.elicitationAnswer(response, of: document, hasContent: false, &splice)
        case .sampling:
            if try Sampling.samplingAnswer(response, of: document, in: revision, &splice) != nil {
                return InputAnswer(reply: InputAnswer.unreadableAnswer(question), isAccepted: true)
            }
        case .roots:
            try Roots.rootsAnswer(response, of: document, in: revision, &splice)
        }
        guard let id = question.legacyID else { return InputAnswer(reply: nil, isAccepted: isAccepted) }
        var reply = ResponseText.resultHead(id: id[...])
        splice.renderedText(response).append(to: &reply)
        reply.append("}")
        return InputAnswer(reply: reply, isAccepted: isAccepted)
    }
}

/// A client's answer to a question, for the server that asked.
package struct InputAnswer: Equatable, Sendable {
    /// The JSON-RPC response; nil when the server waits for none.
    package let reply: [UInt8]?
    /// False when a person declined or dismissed the question.
    package let isAccepted: Bool

    /// The model said something that has no form in the server's revision: several blocks, or calls of tools.
    fileprivate static func unreadableAnswer(_ question: InputRequest) -> [UInt8]? {
        question.legacyID.map { id in
            ServerRequest.errorResponse(
                id: id, code: ErrorCode.internalError,
                message: "The client's message has content that this protocol version cannot carry")
        }
    }
}

/// An answer in `inputResponses` that is none.
package struct InputFlaw: Error, Equatable, Sendable {
    /// Nil when `inputResponses` as a whole is at fault.
    package let key: String?
    package let what: String

    init(_ what: String, key: String? = nil) {
        self.key = key
        self.what = what
    }

    /// No answer to a question that cannot be asked again.
    package static func missingAnswer(_ key: String) -> InputFlaw {
        InputFlaw("it is missing, and its question cannot be asked again", key: key)
    }

    /// What is wrong and what to send instead.
    package var advice: String {
        let place = key.map { #"inputResponses["\#($0)"]"# } ?? "inputResponses"
        return "\(place): \(what). Nothing was passed on; send the request again with the same requestState."
    }
}
