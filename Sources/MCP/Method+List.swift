extension Method {
    /// The member of the result that holds the items; nil where the method is no list (2026-07-28,
    /// server/utilities/pagination, "Operations Supporting Pagination").
    package var listedMember: StaticString? {
        switch self {
        case .listTools: "tools"
        case .listPrompts: "prompts"
        case .listResources: "resources"
        case .listResourceTemplates: "resourceTemplates"
        case .callTool, .readResource, .getPrompt, .complete, .discover, .listen: nil
        // Not read whole: the server's pages are passed on.
        case .listSkills, .getSkill, .readDirectory, .vendor: nil
        }
    }

    /// Whether the method lists what a server has, page by page.
    package var isList: Bool { listedMember != nil }
}

extension ServerCapability {
    /// The lists of what the capability is about. Resources and their templates share one.
    package var lists: [Method] { Method.allCases.filter { $0.isList && $0.requiredCapability == self } }
}
