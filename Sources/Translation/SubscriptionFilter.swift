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
    /// Ids of tasks in UTF-8, each once, in the client's order (ext-tasks, "Task Status Notifications").
    package var tasks: [[UInt8]] = []

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
        resources = try SubscriptionFilter.readStrings(
            "resourceSubscriptions", of: "URIs", in: filter, document, max: maxResources)
        tasks = try SubscriptionFilter.readStrings(
            "taskIds", of: "ids", in: filter, document, max: SubscriptionFilter.maxTasks)
    }

    /// Each is asked for at the server, for as long as the client listens.
    private static let maxTasks = 256

    /// Bytes of a URI, and of the id of a task. What a server says of a longer one is dropped, too.
    static let maxURI = 8192
    /// Bytes of all URIs, and of all ids, of one filter: they are kept for as long as its client listens.
    private static let maxSize = 256 << 10

    private static func readFlag(
        _ name: StaticString, of filter: JSONValue, in document: JSONDocument
    ) throws(Flaw) -> Bool {
        guard let value = document.value(name, of: filter) else { return false }
        guard let flag = document.boolean(value) else { throw Flaw(advice: "\"\(name)\" must be true or false.") }
        return flag
    }

    /// The strings of a list, each once.
    ///
    /// - Parameter things: what they are, for a person.
    private static func readStrings(
        _ name: StaticString, of things: String, in filter: JSONValue, _ document: JSONDocument, max: Int
    ) throws(Flaw) -> [[UInt8]] {
        guard let value = document.value(name, of: filter) else { return [] }
        guard value.kind == .array else { throw Flaw(advice: "\"\(name)\" must be an array of \(things).") }
        var found: [[UInt8]] = []
        var seen: Set<[UInt8]> = []
        var size = 0
        for element in document.elements(of: value) {
            guard let text = document.stringBytes(element), !text.isEmpty else {
                throw Flaw(advice: "\"\(name)\" must hold \(things) as strings.")
            }
            guard text.count <= maxURI else {
                throw Flaw(advice: "\"\(name)\" has one of more than \(maxURI) bytes.")
            }
            guard seen.insert(text).inserted else { continue }
            guard found.count < max else {
                throw Flaw(advice: "\"\(name)\" has more than \(max) \(things). Listen to fewer at once.")
            }
            size += text.count
            guard size <= maxSize else {
                throw Flaw(advice: "\"\(name)\" has more than \(maxSize) bytes of \(things). Listen to fewer at once.")
            }
            found.append(text)
        }
        return found
    }

    /// Whether nothing is listened to.
    package var isEmpty: Bool {
        !toolsListChanged && !promptsListChanged && !resourcesListChanged && resources.isEmpty && tasks.isEmpty
    }

    /// The filter as JSON, with what is listened to and no more.
    var json: [UInt8] {
        var members: [[UInt8]] = []
        if toolsListChanged { members.append(Array(#""toolsListChanged":true"#.utf8)) }
        if promptsListChanged { members.append(Array(#""promptsListChanged":true"#.utf8)) }
        if resourcesListChanged { members.append(Array(#""resourcesListChanged":true"#.utf8)) }
        for (name, strings) in [("resourceSubscriptions", resources), ("taskIds", tasks)] where !strings.isEmpty {
            var list: [UInt8] = Array("\"\(name)\":[".utf8)
            for (index, text) in strings.enumerated() {
                if index > 0 { list.append(UInt8(ascii: ",")) }
                list.appendJSON(String(decoding: text, as: UTF8.self))
            }
            list.append(UInt8(ascii: "]"))
            members.append(list)
        }
        return [UInt8(ascii: "{")] + members.joined(separator: [UInt8(ascii: ",")]) + [UInt8(ascii: "}")]
    }
}
