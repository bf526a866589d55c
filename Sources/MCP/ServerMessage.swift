import JSONText

/// A server's message by its members, of which each may be there twice, be of another kind, or be `null` because its writer
/// writes all: the message that they can only be.
struct ServerMessage {
    private static let members: [StaticString] = ["jsonrpc", "id", "method", "params", "result", "error"]

    private let document: JSONDocument
    private let maxDepth: Int

    /// - Parameters:
    ///   - document: an object in which lookups are quick.
    ///   - maxDepth: as for the document.
    init(_ document: JSONDocument, maxDepth: Int) {
        self.document = document
        self.maxDepth = maxDepth
    }

    /// The message as the specification has it.
    ///
    /// - Throws: why it is none.
    func mendedEnvelope() throws(Envelope.Flaw) -> Envelope {
        let ids = distinctValues(memberValues("id"))
        let methods = distinctValues(memberValues("method"))
        guard ids.count < 2, methods.count < 2 else {
            // Nearly all readers take the last of two.
            guard methods.isEmpty, let last = ids.last, last.kind == .number || last.kind == .string else {
                throw .duplicateMember
            }
            return Envelope(document, .unclear(id: last))
        }
        let id = ids.first { $0.kind == .number || $0.kind == .string }
        // Some repeat the method that they answer. A request or a notification has no outcome.
        let hasOutcome = (memberValues("result") + memberValues("error")).contains { $0.kind != .null }
        guard let method = methods.first, method.kind == .string, id == nil || !hasOutcome else {
            return try responseEnvelope(to: id)
        }
        return try requestEnvelope(method, id)
    }

    private func memberValues(_ name: StaticString) -> [JSONValue] {
        document.members(of: document.root).filter { document.name(of: $0, equals: name) }.map(\.value)
    }

    /// Without those that repeat the one before.
    private func distinctValues(_ values: [JSONValue]) -> [JSONValue] {
        values.indices.filter { $0 == 0 || !document.raw(values[$0]).elementsEqual(document.raw(values[$0 - 1])) }
            .map { values[$0] }
    }

    // MARK: Requests and notifications

    private func requestEnvelope(_ method: JSONValue, _ id: JSONValue?) throws(Envelope.Flaw) -> Envelope {
        do throws(Envelope.Flaw) {
            return try Envelope(document)
        } catch {
            // Programs log what they do as JSON, too, and some of it has a method.
            guard memberValues("jsonrpc").contains(where: { document.string($0, equals: "2.0") }) else { throw error }
        }
        // What two params say is not known, nor is what they say twice. That there is the message is.
        let params = memberValues("params")
        if params.count == 1, params[0].kind == .object, let whole = try? readEnvelope(method, id, params[0]) {
            return whole
        }
        return try readEnvelope(method, id, nil)
    }

    private func readEnvelope(
        _ method: JSONValue, _ id: JSONValue?, _ params: JSONValue?
    ) throws(Envelope.Flaw) -> Envelope {
        var text = envelopeHead(id)
        text.append(#","method":"#)
        text += document.raw(method)
        if let params {
            text.append(#","params":"#)
            text += document.raw(params)
        }
        return try Envelope(parsedEnvelope(text))
    }

    // MARK: Responses

    private func responseEnvelope(to id: JSONValue?) throws(Envelope.Flaw) -> Envelope {
        let results = memberValues("result")
        let errors = memberValues("error")
        guard !results.isEmpty || !errors.isEmpty else { throw .neitherRequestNorResponse }
        // Programs log results, too: without a version it is a response if it has nothing else.
        guard !memberValues("jsonrpc").isEmpty || (id != nil && hasNothingElse) else { throw .wrongVersion }
        guard results.count < 2, errors.count < 2 else { return try unclearEnvelope(id) }
        switch (results.first, errors.first) {
        case (let result?, nil): return Envelope(document, .response(id: id, outcome: .result(result)))
        case (nil, let error?) where ServerError.isOne(error, in: document): return try failureEnvelope(error, id)
        case (let result?, let error?) where !ServerError.saysSomething(error, in: document):
            return Envelope(document, .response(id: id, outcome: .result(result)))
        case (let result?, let error?)
        where result.kind == .null || (result.kind == .object && document.isEmpty(result)):
            return try failureEnvelope(error, id)
        default: return try unclearEnvelope(id)
        }
    }

    private var hasNothingElse: Bool {
        !document.hasMember(of: document.root) { member in
            !ServerMessage.members.contains { document.name(of: member, equals: $0) }
        }
    }

    private func failureEnvelope(_ error: JSONValue, _ id: JSONValue?) throws(Envelope.Flaw) -> Envelope {
        if ServerError.isWellFormed(error, in: document) {
            return Envelope(document, .response(id: id, outcome: .error(error)))
        }
        var text = envelopeHead(id)
        text.append(#","error":"#)
        ServerError.appendError(error, in: document, to: &text)
        return try Envelope(parsedEnvelope(text))
    }

    private func unclearEnvelope(_ id: JSONValue?) throws(Envelope.Flaw) -> Envelope {
        guard let id else { throw .duplicateMember }
        return Envelope(document, .unclear(id: id))
    }

    // MARK: Writing

    /// A number that is whole is written as an integer: `1.0` is no id to a strict reader.
    private func envelopeHead(_ id: JSONValue?) -> [UInt8] {
        var text = Array(#"{"jsonrpc":"2.0""#.utf8)
        guard let id else { return text }
        text.append(#","id":"#)
        if id.kind == .number, let number = document.wholeNumber(id) {
            text.appendJSON(Int(number))
        } else {
            text += document.raw(id)
        }
        return text
    }

    /// - Parameter text: an object without its end.
    private func parsedEnvelope(_ text: [UInt8]) throws(Envelope.Flaw) -> JSONDocument {
        do throws(JSONTextError) {
            return try JSONDocument(text + [UInt8(ascii: "}")], maxDepth: maxDepth)
        } catch {
            // Nothing leads here but a text of 4 GiB: its parts have been read, and are no deeper than they were.
            throw .notAnObject
        }
    }
}
