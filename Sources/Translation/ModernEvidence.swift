import JSONText
import MCP

/// Proof that a server speaks 2026-07-28 itself (basic/versioning, "Backward Compatibility with Initialization-Based
/// Versions").
package enum ModernEvidence {
    /// Capabilities of a server hold open maps; nothing sensible is deeper.
    private static let maxDepth = 128

    /// Whether a message is a `DiscoverResult` with this revision, or an `UnsupportedProtocolVersionError` that names it.
    package static func isGiven(by text: [UInt8]) -> Bool {
        guard let document = try? JSONDocument(text, maxDepth: maxDepth), let message = try? Envelope(document),
            case .response(_, let outcome) = message.kind
        else { return false }
        switch outcome {
        case .result(let result):
            guard document.value("capabilities", of: result, .object) != nil else { return false }
            return namesModernVersion(document.value("supportedVersions", of: result, .array), in: document)
        case .error(let error):
            let code = document.value("code", of: error).flatMap { document.integer($0) }
            guard code == Int64(ErrorCode.unsupportedProtocolVersion) else { return false }
            let data = document.value("data", of: error, .object)
            return namesModernVersion(data.flatMap { document.value("supported", of: $0, .array) }, in: document)
        }
    }

    private static func namesModernVersion(_ versions: JSONValue?, in document: JSONDocument) -> Bool {
        guard let versions else { return false }
        return document.elements(of: versions).contains { document.string($0, equals: Revision.modern.name) }
    }
}
