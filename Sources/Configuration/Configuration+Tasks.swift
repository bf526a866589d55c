extension Configuration {
    /// Calls that run as tasks.
    package struct Tasks: Sendable, Equatable {
        /// Whether a tool that may run as a task does so, for clients that know tasks.
        package var optional: Optional
        /// How long a call runs before it becomes a task, for clients that know tasks: 100 milliseconds to 24 hours; nil where none does.
        package var promote: Duration?
        /// How many tasks are held, on all threads together: 1 to 100 000.
        package var max: Int
        /// How many of them one principal may have: 1 to 100 000. More than ``max`` is as much as that.
        package var maxPerPrincipal: Int
        /// For how long a task is held at most, from its creation: 1 second to 7 days.
        package var maxTTL: Duration

        package enum Optional: String, CaseIterable, Sendable {
            /// Such a tool is called as any other.
            case plain
            /// It runs as a task.
            case task
        }
    }
}

extension Configuration.Tasks {
    init(_ section: inout Section) {
        // A client that gets a task has to poll, and most tools that may be tasks take seconds.
        optional = section.value("optional", .choice, default: .plain)
        // A client that knows tasks need not expect one of a server that has none.
        promote = section.value("promote", .duration(.shortest ... .hours(24), none: "off"), default: nil)
        // As many as calls may wait for their clients. A task of the server takes less: it shares its session.
        max = section.value("max", .integer(1...100_000), default: 1024)
        // Half of all, as with sessions.
        maxPerPrincipal = section.value("max_per_principal", .integer(1...100_000), default: Swift.max(1, max / 2))
        // The longest builds and exports; a result that was not fetched by then has no reader any more.
        maxTTL = section.value("max_ttl", .duration(.seconds(1) ... .hours(168)), default: .hours(1))
    }
}
