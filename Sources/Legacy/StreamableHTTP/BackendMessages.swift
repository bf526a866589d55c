import JSONText
import MCP

/// The messages in what a backend sent at once: nearly always one.
struct BackendMessages: Sequence, IteratorProtocol {
    private var first: Envelope?
    private var rest: ArraySlice<Envelope> = []

    /// One message, or those of a batch, which only 2025-03-26 has (basic/index, "Batching").
    init(_ text: [UInt8], revision: Revision, maxDepth: Int) throws {
        let document = try JSONDocument(text, maxDepth: maxDepth)
        guard document.root.kind == .array, revision == .v2025_03_26 else {
            first = try Envelope(document)
            return
        }
        let batch = try document.elements(of: document.root).map { element in
            try Envelope(JSONDocument(Array(document.raw(element)), maxDepth: maxDepth))
        }
        rest = batch[...]
    }

    mutating func next() -> Envelope? { first.take() ?? rest.popFirst() }
}
