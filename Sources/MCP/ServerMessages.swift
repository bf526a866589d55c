import JSONText

/// The messages in one text of a server, which is a body, the data of an event, or a line: nearly always one.
///
/// A text that is no message is passed over, and so is a part of it; ``flaw`` says why. What is not quite JSON is read as the
/// JSON that it can only be, and of a response that cannot be read its start says what it answers
/// (``Envelope/Kind/unclear(id:)``).
package struct ServerMessages: Sequence, IteratorProtocol {
    /// Why something was passed over.
    package enum Flaw: Sendable {
        /// What programs print.
        case noJSON
        /// JSON that is no JSON-RPC, such as a heartbeat, or a batch in a revision that has none.
        case noMessage
        /// JSON-RPC that could mean two things, or nothing, or breaks off.
        case ambiguous

        /// For the log and for errors.
        package var words: StaticString {
            switch self {
            case .noJSON: "no JSON"
            case .noMessage: "no JSON-RPC"
            case .ambiguous: "JSON-RPC that could mean two things, or nothing"
            }
        }
    }

    /// Messages that are looked for in one text. Servers that send as many have no batch of the specification in mind.
    private static let maxMessages = 10_000
    /// Messages that stand in one text without a batch: threads that print at once leave out line feeds, not many.
    private static let maxTogether = 16
    /// Bytes of a broken text in which its id is looked for, and members before its outcome.
    private static let (maxStart, maxMembers) = (512, 8)

    private let revision: Revision?
    private let maxDepth: Int
    private var first: Envelope?
    private var rest: ArraySlice<Envelope> = []
    /// Why something of the text was passed over; nil where nothing was.
    package private(set) var flaw: Flaw?

    /// - Parameters:
    ///   - revision: of the session; nil before there is one. 2025-03-26 alone has batches (basic/index, "Batching").
    ///   - maxDepth: how many arrays and objects may be inside one another.
    package init(_ text: [UInt8], revision: Revision?, maxDepth: Int) {
        self.revision = revision
        self.maxDepth = maxDepth
        // RFC 8259 §8.1 lets a reader ignore a byte order mark.
        let text = text.first == 0xEF && text.starts(with: [0xEF, 0xBB, 0xBF]) ? Array(text.dropFirst(3)) : text
        do throws(JSONTextError) {
            takeMessages(try JSONDocument(text, maxDepth: maxDepth))
        } catch {
            takeUnusual(text, error)
        }
    }

    package mutating func next() -> Envelope? { first.take() ?? rest.popFirst() }

    private mutating func takeMessages(_ document: JSONDocument) {
        guard document.root.kind == .array else { return takeMessage(document) }
        guard revision == .v2025_03_26 else { return flaw = .noMessage }
        for element in document.elements(of: document.root).prefix(ServerMessages.maxMessages) {
            guard let document = try? JSONDocument(Array(document.raw(element)), maxDepth: maxDepth) else { continue }
            takeMessage(document)
        }
    }

    private mutating func takeMessage(_ document: JSONDocument) {
        do throws(Envelope.Flaw) {
            appendMessage(try Envelope.ofServer(document, maxDepth: maxDepth))
        } catch {
            switch error {
            case .notAnObject, .batch, .wrongVersion, .neitherRequestNorResponse: flaw = .noMessage
            case .duplicateMember, .invalidID, .invalidMethod, .paramsNotAnObject, .tooManyMembers: flaw = .ambiguous
            }
        }
    }

    private mutating func appendMessage(_ message: Envelope) {
        if first == nil, rest.isEmpty { first = message } else { rest.append(message) }
    }

    // MARK: What is not JSON

    private mutating func takeUnusual(_ text: [UInt8], _ error: JSONTextError) {
        var (text, error) = (text, error)
        for _ in 0..<ServerMessages.maxTogether {
            guard error.reason == .trailingBytes else { return takeBroken(text, error) }
            let (head, tail) = (Array(text[..<error.offset]), Array(text[error.offset...]))
            guard let document = try? JSONDocument(head, maxDepth: maxDepth), document.root.kind == .object else {
                break
            }
            takeMessage(document)
            do throws(JSONTextError) {
                return takeMessages(try JSONDocument(tail, maxDepth: maxDepth))
            } catch let next {
                (text, error) = (tail, next)
            }
        }
        flaw = .noJSON
    }

    private mutating func takeBroken(_ text: [UInt8], _ error: JSONTextError) {
        let first = text.first { $0 > UInt8(ascii: " ") }
        guard first == UInt8(ascii: "{") || (first == UInt8(ascii: "[") && revision == .v2025_03_26) else {
            return flaw = .noJSON
        }
        switch error.reason {
        case .invalidUTF8, .controlCharacter, .unexpectedByte, .invalidNumber:
            if let mended = JSONMending.mendedText(text), let document = try? JSONDocument(mended, maxDepth: maxDepth) {
                return takeMessages(document)
            }
        case .tooDeep:
            // It is read as far as its own members say what it answers: its call fails, and no other.
            if let document = try? JSONDocument(text, maxDepth: .max), let response = loneResponse(in: document) {
                return appendMessage(response)
            }
        case .unexpectedEnd, .invalidEscape, .trailingBytes, .tooLong: break
        }
        if let response = startOfResponse(text) { return appendMessage(response) }
        // It may hold what is a caller's alone, which is not for the log.
        flaw =
            String(decoding: text.prefix(ServerMessages.maxStart), as: UTF8.self).contains("jsonrpc")
            ? .ambiguous : .noJSON
    }

    private func loneResponse(in document: JSONDocument) -> Envelope? {
        let root = document.root
        guard root.kind == .object, document.isQuick(root), !document.hasDuplicateNames(root),
            let id = document.value("id", of: root), id.kind == .number || id.kind == .string,
            document.value("method", of: root) == nil
        else { return nil }
        return Envelope(document, .unclear(id: id))
    }

    /// The response that a text begins as: its members before the outcome, which is what is broken.
    private func startOfResponse(_ text: [UInt8]) -> Envelope? {
        let start = text.prefix(ServerMessages.maxStart)
        let commas = start.indices.filter { start[$0] == UInt8(ascii: ",") }.prefix(ServerMessages.maxMembers)
        for comma in commas where isOutcome(text[(comma + 1)...]) {
            guard let document = try? JSONDocument(text[..<comma] + [UInt8(ascii: "}")]) else { continue }
            let root = document.root
            if let id = document.value("id", of: root), id.kind == .number || id.kind == .string,
                let version = document.value("jsonrpc", of: root), document.string(version, equals: "2.0"),
                document.value("method", of: root) == nil, !document.hasDuplicateNames(root)
            {
                return Envelope(document, .unclear(id: id))
            }
        }
        return nil
    }

    private func isOutcome(_ text: ArraySlice<UInt8>) -> Bool {
        let name = text.prefix(64).drop {
            $0 == UInt8(ascii: " ") || (UInt8(ascii: "\t")...UInt8(ascii: "\r")).contains($0)
        }
        return name.starts(with: #""result""#.utf8) || name.starts(with: #""error""#.utf8)
    }
}
