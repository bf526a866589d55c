import JSONText
import MCP

/// Questions for the directories that matter (2026-07-28 and 2025-11-25, client/roots).
enum Roots {
    /// Its params can only be `_meta`, which is between the server and Remora.
    static func rootsRequest(_ message: Envelope, id: [UInt8]) -> InputRequest {
        InputRequest(
            .roots, legacyID: id, needs: .roots, method: "roots/list", params: nil,
            wishedKeys: [InputRequest.wishedKey(in: message)].compactMap(\.self))
    }

    /// Checks a `ListRootsResult`. `_meta` of a root came with 2025-06-18.
    static func rootsAnswer(
        _ response: JSONValue, of document: JSONDocument, in revision: Revision, _ splice: inout JSONSplice
    ) throws(InputFlaw) {
        guard let roots = document.value("roots", of: response, .array),
            document.elements(of: roots).allSatisfy({ document.value("uri", of: $0, .string) != nil })
        else { throw InputFlaw("roots must be a list of objects with a uri") }
        guard revision < .v2025_06_18 else { return }
        for root in document.elements(of: roots) { splice.removeMembers("_meta", from: root) }
    }
}
