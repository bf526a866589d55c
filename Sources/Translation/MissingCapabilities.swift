import JSONText
import MCP

/// The error `-32021` of a server (2026-07-28, basic/index, "Per-request protocol fields").
enum MissingCapabilities {
    /// Whether it has its meaning: it names something that the client did not declare. A session may declare less than its
    /// client, and a server that speaks of that leads the client astray.
    static func isRight(_ error: JSONValue, in document: JSONDocument, answering request: ModernRequest) -> Bool {
        guard let data = document.value("data", of: error),
            let required = document.value("requiredCapabilities", of: data, .object)
        else { return false }
        let declared = InputCapabilities(request.clientCapabilities, in: request.document)
        if !InputCapabilities(required, in: document).subtracting(declared).isEmpty { return true }
        guard let extensions = document.value("extensions", of: required, .object) else { return false }
        return document.hasMember(of: extensions) { member in
            // A client that declared tasks would still not have them.
            !document.name(of: member, equals: MetaKey.tasksExtension)
                && !declaresCapability(document.name(of: member), request)
        }
    }

    private static func declaresCapability(_ name: String, _ request: ModernRequest) -> Bool {
        let document = request.document
        guard let capabilities = request.clientCapabilities,
            let extensions = document.value("extensions", of: capabilities, .object)
        else { return false }
        return document.hasMember(of: extensions) { document.name(of: $0) == name }
    }
}
