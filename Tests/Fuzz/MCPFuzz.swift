// Feeds texts to the reading of what servers send. What comes of them is as the specification has it: read once more, by the
// strict reading where there is one, it is the same.
import JSONText

/// The first byte chooses the revision; the rest is the text.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
    let input = Array(UnsafeBufferPointer(start: data, count: size))
    guard let first = input.first else { return 0 }
    let revision: Revision? = first & 1 == 0 ? nil : .v2025_03_26
    for message in ServerMessages(Array(input.dropFirst()), revision: revision, maxDepth: 32) {
        check(message)
    }
    return 0
}

private func check(_ message: Envelope) {
    let document = message.document
    switch message.kind {
    case .request, .notification:
        precondition((try? Envelope(document)) != nil, "not as a strict reader has it")
    case .response(let id, let outcome):
        precondition(id.map { $0.kind == .number || $0.kind == .string } ?? true, "not an id")
        if case .error(let error) = outcome { precondition(error.kind == .object, "an error that is no object") }
    case .unclear(let id):
        precondition(id.kind == .number || id.kind == .string, "not an id")
    }
    if let number = message.answeredRequest {
        let again = Array(#"{"jsonrpc":"2.0","id":\#(number),"result":{}}"#.utf8)
        var messages = ServerMessages(again, revision: nil, maxDepth: 32)
        precondition(messages.next()?.answeredRequest == number, "another id")
    }
}
