import JSONText
import MCP

/// The messages in what a backend sent at once.
enum BackendMessages {
    /// One message, or those of a batch, which only 2025-03-26 has (basic/index, "Batching").
    static func read(_ text: [UInt8], revision: Revision, maxDepth: Int) throws -> [Envelope] {
        let document = try JSONDocument(text, maxDepth: maxDepth)
        guard document.root.kind == .array, revision == .v2025_03_26 else { return [try Envelope(document)] }
        return try document.elements(of: document.root).map { element in
            try Envelope(JSONDocument(Array(document.raw(element)), maxDepth: maxDepth))
        }
    }
}
