import JSONText
import MCP

/// Questions to a person (2026-07-28 and 2025-11-25, client/elicitation).
enum Elicitation {
    static let method: StaticString = "elicitation/create"

    static func elicitationRequest(_ message: Envelope, id: [UInt8]) throws(RefusedInput) -> InputRequest {
        let document = message.document
        guard let params = message.params, document.value("message", of: params, .string) != nil else {
            throw .malformedInput("message must be a string", id: id)
        }
        guard let mode = document.value("mode", of: params) else {
            // Before 2025-11-25 there was no other.
            return try formRequest(message, params, id: id, hasMode: false)
        }
        if document.string(mode, equals: "form") { return try formRequest(message, params, id: id, hasMode: true) }
        guard document.string(mode, equals: "url") else { throw .malformedInput("mode must be form or url", id: id) }
        guard let request = urlRequest(params, in: document, id: id, wishedKeys: [InputRequest.wishedKey(in: message)])
        else {
            throw .malformedInput("url must be a string", id: id)
        }
        return request
    }

    private static func formRequest(
        _ message: Envelope, _ params: JSONValue, id: [UInt8], hasMode: Bool
    ) throws(RefusedInput) -> InputRequest {
        let document = message.document
        guard let schema = document.value("requestedSchema", of: params, .object) else {
            throw .malformedInput("requestedSchema must be an object", id: id)
        }
        var splice = JSONSplice(document)
        splice.removeMembers("_meta", "task", from: params)
        if !hasMode { splice.setMember("mode", to: "\"form\"", in: params, at: .start) }
        let title = document.value("title", of: schema).flatMap { document.string($0) }
        return InputRequest(
            .form, legacyID: id, needs: .form, method: method, params: splice.renderedText(params),
            wishedKeys: [InputRequest.wishedKey(in: message), title.flatMap { isIdentifier($0) ? $0 : nil }]
                .compactMap(\.self))
    }

    /// A question in URL mode; nil when `params` has no URL or no message.
    static func urlRequest(
        _ params: JSONValue, in document: JSONDocument, id: [UInt8]?, wishedKeys: [String?]
    ) -> InputRequest? {
        guard document.value("url", of: params, .string) != nil,
            document.value("message", of: params, .string) != nil
        else { return nil }
        let elicitationID = document.value("elicitationId", of: params).flatMap { document.stringBytes($0) }
            .flatMap { $0.count <= InputRequest.maxID ? $0 : nil }
        var splice = JSONSplice(document)
        splice.removeMembers("_meta", "task", "elicitationId", from: params)
        return InputRequest(
            .url(elicitationID: elicitationID), legacyID: id, needs: .url, method: method,
            params: splice.renderedText(params), wishedKeys: wishedKeys.compactMap(\.self))
    }

    /// A letter or `_`, then letters, digits and `_`: the title of a schema that is meant for programs, like a class.
    private static func isIdentifier(_ title: String) -> Bool {
        guard let first = title.utf8.first, isLetter(first) else { return false }
        return title.utf8.allSatisfy { isLetter($0) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    }

    private static func isLetter(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "_"): true
        default: false
        }
    }

    // MARK: Answers

    /// Checks an `ElicitResult` and takes out the content where there is none to have.
    ///
    /// - Returns: whether the person agreed.
    static func elicitationAnswer(
        _ response: JSONValue, of document: JSONDocument, hasContent: Bool, _ splice: inout JSONSplice
    ) throws(InputFlaw) -> Bool {
        guard let action = document.value("action", of: response),
            ["accept", "decline", "cancel"].contains(where: { document.string(action, equals: $0) })
        else { throw InputFlaw("action must be accept, decline or cancel") }
        let isAccepted = document.string(action, equals: "accept")
        guard isAccepted, hasContent else {
            // "Only present when action is accept and mode was form" (schema `ElicitResult`).
            splice.removeMembers("content", from: response)
            return isAccepted
        }
        guard let content = document.value("content", of: response) else { return true }
        guard content.kind == .object, !document.hasDuplicateNames(content),
            document.members(of: content).allSatisfy({ isPrimitive($0.value, in: document) })
        else { throw InputFlaw("content must be an object of strings, numbers, booleans and lists of strings") }
        return true
    }

    private static func isPrimitive(_ value: JSONValue, in document: JSONDocument) -> Bool {
        switch value.kind {
        case .string, .number, .boolean: true
        case .array: document.elements(of: value).allSatisfy { $0.kind == .string }
        case .object, .null: false
        }
    }
}
