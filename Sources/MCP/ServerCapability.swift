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

    /// The lists of what the capability is about. Resources and their templates share one.
    package var lists: [Method] { Method.allCases.filter { $0.isList && $0.requiredCapability == self } }
}
