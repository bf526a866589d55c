package import JSONText
import MCP

/// What Remora reads of a request's `_meta`, found in one walk over its members: nearly every request has the same three,
/// and none of the others that are asked for.
package struct RequestMeta: Sendable {
    /// The object itself.
    package let object: JSONValue
    package private(set) var protocolVersion: JSONValue?
    package private(set) var clientCapabilities: JSONValue?
    package private(set) var logLevel: JSONValue?
    package private(set) var progressToken: JSONValue?
    private(set) var traceparent: JSONValue?
    private(set) var tracestate: JSONValue?
    private(set) var baggage: JSONValue?
    /// Whether there is a member about the trace of the request.
    package var hasTrace: Bool { traceparent != nil || tracestate != nil || baggage != nil }
    /// Whether there is a member whose key the protocol does not keep for itself.
    private(set) var hasOthers = false

    /// - Parameter object: an object without two members of one name.
    package init(_ object: JSONValue, in document: JSONDocument) {
        self.object = object
        document.forEachMember(of: object) { noteMember($0, in: document) }
    }

    /// The same without the handle of a session, which is Remora's.
    func hidingHandle(in document: JSONDocument) -> RequestMeta {
        var rest = self
        rest.hasOthers = false
        document.forEachMember(of: object) { member in
            if !document.hasName(member, prefix: MetaKey.protocolPrefix),
                !document.name(of: member, equals: MetaKey.sessionHandle)
            {
                rest.hasOthers = true
            }
        }
        return rest
    }

    private mutating func noteMember(_ member: JSONMember, in document: JSONDocument) {
        if document.hasName(member, prefix: MetaKey.protocolPrefix) {
            if document.name(of: member, equals: MetaKey.protocolVersion) {
                protocolVersion = member.value
            } else if document.name(of: member, equals: MetaKey.clientCapabilities) {
                clientCapabilities = member.value
            } else if document.name(of: member, equals: MetaKey.logLevel) {
                logLevel = member.value
            }
            return
        }
        hasOthers = true
        if document.name(of: member, equals: MetaKey.progressToken) {
            progressToken = member.value
        } else if document.name(of: member, equals: MetaKey.traceparent) {
            traceparent = member.value
        } else if document.name(of: member, equals: MetaKey.tracestate) {
            tracestate = member.value
        } else if document.name(of: member, equals: MetaKey.baggage) {
            baggage = member.value
        }
    }
}
