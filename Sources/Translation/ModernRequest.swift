package import JSONText
package import MCP

/// A request of 2026-07-28 that has passed admission: an object with a version, capabilities, a known method, and
/// headers that agree with it. It is a class because it never changes and is handed around.
package final class ModernRequest: Sendable {
    package let document: JSONDocument
    package let id: JSONValue
    package let method: Method
    package let params: JSONValue
    /// What `_meta` says.
    package let metadata: RequestMeta
    /// The trace that it belongs to, if it belongs to one.
    package let trace: TraceContext?
    /// Where a handle stands that is for Remora.
    let hiddenHandle: HiddenHandle

    package init(
        document: JSONDocument, id: JSONValue, method: Method, params: JSONValue, meta: RequestMeta,
        trace: TraceContext? = nil, hiddenHandle: HiddenHandle = .nowhere
    ) {
        self.hiddenHandle = hiddenHandle
        self.document = document
        self.id = id
        self.method = method
        self.params = params
        metadata = meta
        self.trace = trace
    }

    /// `params._meta`.
    package var meta: JSONValue { metadata.object }

    /// The id as the client spelled it, which every answer repeats.
    package var rawID: ArraySlice<UInt8> { document.raw(id) }

    /// The method as the client spelled it; nil where ``method`` has its name.
    var vendorMethod: JSONValue? { method == .vendor ? document.value("method", of: document.root) : nil }

    /// The method's name for a person. A long one is cut: it may be anything. By scalars: one character can have any number of
    /// marks.
    package var methodName: String {
        guard let name = vendorMethod.flatMap({ document.string($0) }) else { return "\(method.name)" }
        return String(String.UnicodeScalarView(name.unicodeScalars.prefix(64)))
    }

    /// What the client can do for this request (`_meta`, basic/index "Per-request protocol fields").
    package var clientCapabilities: JSONValue? { metadata.clientCapabilities }

    /// Whether the client declares the extension for tasks, as it has to with each request (ext-tasks, "Capability Negotiation").
    package var declaresTasks: Bool {
        guard let capabilities = clientCapabilities,
            let extensions = document.value("extensions", of: capabilities, .object),
            let tasks = document.value(MetaKey.tasksExtension, of: extensions)
        else { return false }
        return Handshake.isDeclared(tasks, in: document)
    }

    /// Whether the client wants to hear of progress (basic/utilities/progress).
    package var wantsProgress: Bool { metadata.progressToken != nil }

    /// The least severe log message that the client wants; nil for none (server/utilities/logging). A level that is none
    /// is refused before anybody asks.
    package var logLevel: LoggingLevel? {
        metadata.logLevel.flatMap { document.string($0) }.flatMap(LoggingLevel.init)
    }
}
