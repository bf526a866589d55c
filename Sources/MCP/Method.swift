package import JSONText

/// The request methods that a client may send: those of 2026-07-28, those of the extensions for tasks (ext-tasks,
/// specification/draft/tasks) and for skills (ext-skills, specification/stable/skills), and one case for the methods of other extensions. ``traits`` says what each means on the way.
///
/// Methods that the revision removed (`initialize`, `ping`, `logging/setLevel`, …) have no case: they are answered with 404
/// and `-32601`.
package enum Method: Int, Sendable, CaseIterable {
    case callTool, listTools
    case readResource, listResources, listResourceTemplates
    case getPrompt, listPrompts
    case complete
    case discover
    case listen
    case getTask, updateTask, cancelTask
    case listSkills, getSkill, readDirectory
    /// A method of an extension that Remora knows nothing about: the request has its name.
    case vendor

    /// Written out: other modules look up the compiler's own by the protocol, at each comparison.
    @inline(__always)
    package static func == (left: Method, right: Method) -> Bool { left.rawValue == right.rawValue }

    @inline(__always)
    package static func != (left: Method, right: Method) -> Bool { left.rawValue != right.rawValue }

    /// Finds the method that the string `name` is.
    package init?(_ name: JSONValue, in document: JSONDocument) {
        // The calls come first: they are what most requests are.
        for method in Method.allCases where document.string(name, equals: method.name) {
            self = method
            return
        }
        return nil
    }

    /// All methods that Remora knows by name.
    package static let known = allCases.filter { $0 != .vendor }

    /// What a method is. A row names what differs from the defaults.
    private struct Traits {
        let name: StaticString
        let capability: ServerCapability?
        let parameters: Parameters
        let noun: StaticString?
        let listed: StaticString?
        let isCacheable: Bool
        let mayAsk: Bool
        let isSafeToRepeat: Bool
        let isOfExtension: Bool

        // Inlined, so that the table becomes one look-up for each property.
        @inline(__always)
        init(
            _ name: StaticString, _ capability: ServerCapability? = nil, _ parameters: Parameters = .none,
            noun: StaticString? = nil, listed: StaticString? = nil, isCacheable: Bool = false, mayAsk: Bool = false,
            isSafeToRepeat: Bool = true, isOfExtension: Bool = false
        ) {
            self.name = name
            self.capability = capability
            self.parameters = parameters
            self.noun = noun
            self.listed = listed
            self.isCacheable = isCacheable
            self.mayAsk = mayAsk
            self.isSafeToRepeat = isSafeToRepeat
            self.isOfExtension = isOfExtension
        }
    }

    /// The table of all methods. A new method is a case and a row.
    @inline(__always)
    private var traits: Traits {
        switch self {
        case .callTool: Traits("tools/call", .tools, .name, noun: "tool", mayAsk: true, isSafeToRepeat: false)
        case .listTools: Traits("tools/list", .tools, .cursor, listed: "tools", isCacheable: true)
        case .readResource:
            Traits("resources/read", .resources, .uri, noun: "resource", isCacheable: true, mayAsk: true)
        case .listResources: Traits("resources/list", .resources, .cursor, listed: "resources", isCacheable: true)
        case .listResourceTemplates:
            Traits("resources/templates/list", .resources, .cursor, listed: "resourceTemplates", isCacheable: true)
        case .getPrompt: Traits("prompts/get", .prompts, .name, noun: "prompt", mayAsk: true)
        case .listPrompts: Traits("prompts/list", .prompts, .cursor, listed: "prompts", isCacheable: true)
        case .complete: Traits("completion/complete", .completions, .completion)
        case .discover: Traits("server/discover", isCacheable: true)
        case .listen: Traits("subscriptions/listen")
        case .getTask: Traits("tasks/get", nil, .task)
        case .updateTask: Traits("tasks/update", nil, .task, isSafeToRepeat: false)
        case .cancelTask: Traits("tasks/cancel", nil, .task)
        case .listSkills: Traits("skills/list", nil, .cursor, isCacheable: true, isOfExtension: true)
        case .getSkill: Traits("skills/get", nil, .uri, isCacheable: true, isOfExtension: true)
        case .readDirectory: Traits("resources/directory/read", nil, .uri, isOfExtension: true)
        case .vendor: Traits("_OTHER", nil, .unknown, isSafeToRepeat: false, isOfExtension: true)
        }
    }

    /// The method's name on the wire; of ``vendor``, OpenTelemetry's name for a method that is not known.
    package var name: StaticString { traits.name }

    /// The server capability without which the method does not exist (server/discover, "DiscoverResult").
    package var requiredCapability: ServerCapability? { traits.capability }

    /// The members of `params` that must be right before a server sees them.
    package var parameters: Parameters { traits.parameters }

    /// The noun for what the client names in the request, so that "not found" is the client's mistake; nil where the client names
    /// nothing. In English and lower case: servers use it in their errors.
    package var noun: StaticString? { traits.noun }

    /// The member of `params` that the header `Mcp-Name` mirrors; nil where the method has none
    /// (2026-07-28, basic/transports/streamable-http, "Standard Request Headers"; ext-tasks, "Routing Headers").
    package var nameParameter: StaticString? {
        if traits.noun == nil { return traits.parameters == .task ? "taskId" : nil }
        return traits.parameters == .uri ? "uri" : "name"
    }

    /// The member of the result that holds the items of a list that is read whole; `nil` for any other method (2026-07-28,
    /// server/utilities/pagination, "Operations Supporting Pagination"). The pages of a list of an extension are forwarded.
    package var listedMember: StaticString? { traits.listed }

    /// Whether the method lists what a server has, page by page.
    package var isList: Bool { traits.listed != nil }

    /// Whether the result carries `ttlMs` and `cacheScope` (2026-07-28, server/utilities/caching; ext-skills, "Listing Skills",
    /// "Getting a Skill").
    package var isCacheable: Bool { traits.isCacheable }

    /// Whether the answer may be a question to the client (2026-07-28, basic/patterns/mrtr, "Supported Requests": "Servers MUST NOT
    /// send InputRequiredResult responses on any other client requests.").
    package var supportsInputRequired: Bool { traits.mayAsk }

    /// Whether a request may be sent again when the connection was lost before an answer. `tools/call` acts, and what an unknown
    /// method does is unknown.
    package var isSafeToRepeat: Bool { traits.isSafeToRepeat }

    /// Whether it is ``listen`` or one of those behind it.
    package var isBehindCalls: Bool { rawValue >= Method.listen.rawValue }

    /// Whether the request is about a task that Remora has.
    package var isAboutTask: Bool { traits.parameters == .task }

    /// Whether it is a method of an extension, which the server has to declare.
    package var isOfExtension: Bool { traits.isOfExtension }
}

extension Method {
    /// What `params` of a method has to hold.
    package enum Parameters: Sendable {
        case none
        /// `name`, a string, and perhaps `arguments`, an object.
        case name
        /// `uri`, a string.
        case uri
        /// Perhaps `cursor`, a string.
        case cursor
        /// `ref` and `argument`, objects.
        case completion
        /// `taskId`, a string.
        case task
        /// Only the server knows.
        case unknown
    }
}
