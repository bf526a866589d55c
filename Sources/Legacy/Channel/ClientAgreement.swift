import JSONText
import MCP

/// What a server has answered to the `initialize` of a client of an older revision.
struct ClientAgreement {
    /// A result, or an error, after which there is no session.
    let answer: CarriedMessage
    /// Whether it is a result.
    let isAgreed: Bool
    /// The agreed revision; nil where it is none that is known.
    let revision: Revision?
    /// What the server said before it.
    var early: [CarriedMessage] = []

    /// Nil for a message that is not the answer.
    ///
    /// - Parameters:
    ///   - id: of the request.
    ///   - document: the message.
    init?(_ message: CarriedMessage, to id: MessageID, in document: JSONDocument) {
        guard case .response(let answered) = message.kind, answered == id || answered == id.misspelled else {
            return nil
        }
        answer = message
        let result = document.value("result", of: document.root)
        isAgreed = result != nil
        revision = result.flatMap { document.value("protocolVersion", of: $0) }.flatMap { document.string($0) }
            .flatMap(Revision.init(rawValue:))
    }
}
