package import JSONText

/// The request methods that a client may send, each with what it means on the way: those of 2026-07-28, those of the extension
/// for skills (ext-skills, specification/stable/skills), and one case for whatever other extensions have.
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
    case listSkills, getSkill, readDirectory
    /// A method of an extension that Remora knows nothing about: the request has its name.
    case vendor

    /// Written out: other modules look up the compiler's own by the protocol, at each comparison.
    @inline(__always)
    package static func == (left: Method, right: Method) -> Bool { left.rawValue == right.rawValue }

    /// The method's name on the wire; of ``vendor``, what OpenTelemetry has in place of a name without end of values.
    package var name: StaticString {
        switch self {
        case .discover: "server/discover"
        case .listen: "subscriptions/listen"
        case .listTools: "tools/list"
        case .callTool: "tools/call"
        case .listPrompts: "prompts/list"
        case .getPrompt: "prompts/get"
        case .listResources: "resources/list"
        case .listResourceTemplates: "resources/templates/list"
        case .readResource: "resources/read"
        case .complete: "completion/complete"
        case .listSkills: "skills/list"
        case .getSkill: "skills/get"
        case .readDirectory: "resources/directory/read"
        case .vendor: "_OTHER"
        }
    }

    /// Finds the method that the string `name` is.
    package init?(_ name: JSONValue, in document: JSONDocument) {
        // The calls come first: they are what most requests are.
        for method in Method.allCases where document.string(name, equals: method.name) {
            self = method
            return
        }
        return nil
    }

    /// The member of `params` that the header `Mcp-Name` mirrors; nil where the method has none
    /// (2026-07-28, basic/transports/streamable-http, "Standard Request Headers").
    package var nameParameter: StaticString? {
        switch self {
        case .callTool, .getPrompt: "name"
        case .readResource: "uri"
        case .discover, .listTools, .listPrompts, .listResources, .listResourceTemplates, .complete, .listen: nil
        case .listSkills, .getSkill, .readDirectory, .vendor: nil
        }
    }

    /// The server capability without which the method does not exist (server/discover, "DiscoverResult").
    package var requiredCapability: ServerCapability? {
        switch self {
        case .discover, .listen, .listSkills, .getSkill, .readDirectory, .vendor: nil
        case .listTools, .callTool: .tools
        case .listPrompts, .getPrompt: .prompts
        case .listResources, .listResourceTemplates, .readResource: .resources
        case .complete: .completions
        }
    }

    /// Whether the result carries `ttlMs` and `cacheScope` (2026-07-28, server/utilities/caching; ext-skills, "Listing Skills",
    /// "Getting a Skill").
    package var isCacheable: Bool {
        switch self {
        case .discover, .listTools, .listPrompts, .listResources, .listResourceTemplates, .readResource: true
        case .listSkills, .getSkill: true
        case .callTool, .getPrompt, .complete, .listen, .readDirectory, .vendor: false
        }
    }

    /// Whether it reads something whose name the client chose, so that "not found" is the client's mistake.
    package var namesSomething: Bool { nameParameter != nil }

    /// Whether the answer may be a question to the client (2026-07-28, basic/patterns/mrtr, "Supported Requests").
    package var supportsInputRequired: Bool {
        switch self {
        case .callTool, .getPrompt, .readResource: true
        // "Servers MUST NOT send InputRequiredResult responses on any other client requests."
        default: false
        }
    }

    /// Whether a request may be sent again when the connection was lost before an answer. `tools/call` acts, and what an unknown
    /// method does is unknown.
    package var isSafeToRepeat: Bool { self != .callTool && self != .vendor }
}

/// Server capabilities that decide which methods exist; of `logging`, which the client has none of any more, Remora's own
/// `logging/setLevel`.
package enum ServerCapability: String, Sendable, CaseIterable {
    case tools, prompts, resources, completions, logging

    /// Its name on the wire.
    package var name: StaticString {
        switch self {
        case .tools: "tools"
        case .prompts: "prompts"
        case .resources: "resources"
        case .completions: "completions"
        case .logging: "logging"
        }
    }
}
