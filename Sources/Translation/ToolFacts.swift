package import JSONText

/// What Remora has to know of a server's tools to carry calls of them.
package struct ToolFacts: Sendable {
    /// The arguments that clients repeat in headers.
    package private(set) var headerParameters = HeaderParameters()
    /// Whether a call may be sent again, by the bytes of the tool's name.
    private var repeatable: [[UInt8]: Bool] = [:]
    /// Tools that have an argument of their own by the name of ``HandleArgument``.
    private var handleOwners: Set<[UInt8]> = []

    /// Tools of which something is kept for each session, and bytes of a name as it is spelled. Of what is beyond, nothing is
    /// known: calls of those tools are not repeated.
    static let maxTools = 10_000
    static let maxName = 1024

    private let readsHandles: Bool

    /// Nothing is known of any tool.
    ///
    /// - Parameter readsHandles: whether the schemas are looked at for ``ownsHandleArgument(_:)``, which takes longer the larger they are.
    package init(readsHandles: Bool = false) { self.readsHandles = readsHandles }

    /// Adds the tools of one page of `tools/list`.
    package mutating func addTools(_ result: JSONValue, in document: JSONDocument) {
        headerParameters.addTools(result, in: document)
        guard let list = document.value("tools", of: result) else { return }
        for tool in document.elements(of: list) {
            guard let name = document.value("name", of: tool), name.count <= ToolFacts.maxName,
                repeatable.count < ToolFacts.maxTools, let name = document.stringBytes(name)
            else { continue }
            // Of two tools with one name, it is not known which is called: both have to allow it.
            repeatable[name] = repeatable[name] != false && ToolFacts.mayBeRepeated(tool, in: document)
            if readsHandles, let schema = document.value("inputSchema", of: tool),
                HandleArgument.fit(of: schema, in: document) == .own
            {
                handleOwners.insert(name)
            }
        }
    }

    /// Whether the server says that a second call of this tool changes nothing beyond the first (2025-11-25, schema
    /// `ToolAnnotations`). False for a tool that it does not list.
    package func mayBeRepeated(_ name: [UInt8]) -> Bool { repeatable[name] == true }

    /// Whether the server lists a tool of this name.
    package func hasTool(_ name: [UInt8]) -> Bool { repeatable[name] != nil }

    /// Whether ``HandleArgument`` of this tool is for the server.
    package func ownsHandleArgument(_ name: [UInt8]) -> Bool { handleOwners.contains(name) }

    private static func mayBeRepeated(_ tool: JSONValue, in document: JSONDocument) -> Bool {
        guard let annotations = document.value("annotations", of: tool) else { return false }
        func says(_ hint: StaticString) -> Bool {
            document.value(hint, of: annotations).flatMap { document.boolean($0) } == true
        }
        return says("readOnlyHint") || says("idempotentHint")
    }
}
