package import JSONText
import MCP

/// What a client listens to: the `notifications` of `subscriptions/listen`, and of its acknowledgment (2026-07-28,
/// basic/patterns/subscriptions, "Notification Filter").
package struct SubscriptionFilter: Sendable, Equatable {
    /// Why a filter cannot be read. The text says what is expected.
    package struct Flaw: Error, Sendable { package let advice: String }

    package var toolsListChanged = false
    package var promptsListChanged = false
    package var resourcesListChanged = false
    /// URIs of resources in UTF-8, each once, in the client's order.
    package var resources: [[UInt8]] = []

    /// Nothing.
    package init() {}

    /// Reads the `notifications` of a request. What the filter does not know is left out: it is not honoured.
    ///
    /// - Parameter maxResources: how many URIs are taken. Each costs the server a subscription.
    package init(_ params: JSONValue, in document: JSONDocument, maxResources: Int) throws(Flaw) {
        guard let filter = document.value("notifications", of: params, .object) else {
            throw Flaw(advice: "subscriptions/listen needs \"notifications\" as an object.")
        }
        guard !document.hasDuplicateNames(filter) else {
            throw Flaw(advice: "\"notifications\" has a member twice.")
        }
        toolsListChanged = try SubscriptionFilter.readFlag("toolsListChanged", of: filter, in: document)
        promptsListChanged = try SubscriptionFilter.readFlag("promptsListChanged", of: filter, in: document)
        resourcesListChanged = try SubscriptionFilter.readFlag("resourcesListChanged", of: filter, in: document)
        resources = try SubscriptionFilter.readResources(of: filter, in: document, max: maxResources)
    }

    /// Bytes of a URI. What a server says of a longer one is dropped, too.
    static let maxURI = 8192
    /// Bytes of all URIs of one filter: they are kept for as long as its client listens.
    private static let maxSize = 256 << 10

    private static func readFlag(
        _ name: StaticString, of filter: JSONValue, in document: JSONDocument
    ) throws(Flaw) -> Bool {
        guard let value = document.value(name, of: filter) else { return false }
        guard let flag = document.boolean(value) else { throw Flaw(advice: "\"\(name)\" must be true or false.") }
        return flag
    }

    private static func readResources(
        of filter: JSONValue, in document: JSONDocument, max: Int
    ) throws(Flaw) -> [[UInt8]] {
        guard let value = document.value("resourceSubscriptions", of: filter) else { return [] }
        guard value.kind == .array else {
            throw Flaw(advice: "\"resourceSubscriptions\" must be an array of URIs.")
        }
        var resources: [[UInt8]] = []
        var seen: Set<[UInt8]> = []
        var size = 0
        for element in document.elements(of: value) {
            guard let uri = document.stringBytes(element), !uri.isEmpty else {
                throw Flaw(advice: "\"resourceSubscriptions\" must hold URIs as strings.")
            }
            guard uri.count <= maxURI else {
                throw Flaw(advice: "\"resourceSubscriptions\" has a URI of more than \(maxURI) bytes.")
            }
            guard seen.insert(uri).inserted else { continue }
            guard resources.count < max else {
                throw Flaw(advice: "\"resourceSubscriptions\" has more than \(max) URIs. Listen to fewer at once.")
            }
            size += uri.count
            guard size <= maxSize else {
                throw Flaw(
                    advice: "\"resourceSubscriptions\" has more than \(maxSize) bytes of URIs. Listen to fewer at once."
                )
            }
            resources.append(uri)
        }
        return resources
    }

    /// Whether nothing is listened to.
    package var isEmpty: Bool { !toolsListChanged && !promptsListChanged && !resourcesListChanged && resources.isEmpty }

    /// The filter as JSON, with what is listened to and no more.
    var json: [UInt8] {
        var members: [[UInt8]] = []
        if toolsListChanged { members.append(Array(#""toolsListChanged":true"#.utf8)) }
        if promptsListChanged { members.append(Array(#""promptsListChanged":true"#.utf8)) }
        if resourcesListChanged { members.append(Array(#""resourcesListChanged":true"#.utf8)) }
        if !resources.isEmpty {
            var list: [UInt8] = Array(#""resourceSubscriptions":["#.utf8)
            for (index, uri) in resources.enumerated() {
                if index > 0 { list.append(UInt8(ascii: ",")) }
                list.appendJSON(String(decoding: uri, as: UTF8.self))
            }
            list.append(UInt8(ascii: "]"))
            members.append(list)
        }
        return [UInt8(ascii: "{")] + members.joined(separator: [UInt8(ascii: ",")]) + [UInt8(ascii: "}")]
    }
}
