package import JSONText

extension Method {
    /// The member of the result that holds the items; nil where the method is no list (2026-07-28,
    /// server/utilities/pagination, "Operations Supporting Pagination").
    package var listedMember: StaticString? {
        switch self {
        case .listTools: "tools"
        case .listPrompts: "prompts"
        case .listResources: "resources"
        case .listResourceTemplates: "resourceTemplates"
        case .callTool, .readResource, .getPrompt, .complete, .discover: nil
        }
    }

    /// Whether the method lists what a server has, page by page.
    package var isList: Bool { listedMember != nil }
}

extension ServerCapability {
    /// What has changed when this notification comes (2025-11-25, server/tools, prompts, resources, "List Changed
    /// Notification"); nil for any other one.
    package init?(listChanged notification: JSONValue, in document: JSONDocument) {
        if document.string(notification, equals: "notifications/tools/list_changed") {
            self = .tools
        } else if document.string(notification, equals: "notifications/prompts/list_changed") {
            self = .prompts
        } else if document.string(notification, equals: "notifications/resources/list_changed") {
            self = .resources
        } else {
            return nil
        }
    }

    /// The lists that the notification is about. Resources and their templates share one.
    package var lists: [Method] { Method.allCases.filter { $0.isList && $0.requiredCapability == self } }
}
