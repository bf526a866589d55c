extension Configuration {
    /// Calls during which the server asks the client, and which wait for its answers.
    package struct Interaction: Sendable, Equatable {
        /// How long a client may take to come back with answers: 1 second to 24 hours.
        package var parkTimeout: Duration
        /// How many calls may wait for their clients, on all threads together: 1 to 100 000.
        package var maxParked: Int
        /// How many of them one principal may have: 1 to 100 000. More than ``maxParked`` is as much as that.
        package var maxParkedPerPrincipal: Int
        /// Tools of which a call may run again, with the answers given so far, when the replica that had it is gone.
        package var replay: [String]
    }
}

extension Configuration.Interaction {
    init(_ section: inout Section) {
        // A user reads, thinks, and perhaps asks a colleague; one that has not come back by then most likely never will.
        parkTimeout = section.value("park_timeout", .duration(.seconds(1) ... .hours(24)), default: .minutes(10))
        // Some 20 MB. Each holds a session too, so sessions.max is met first unless it was raised.
        maxParked = section.value("max_parked", .integer(1...100_000), default: 1024)
        // Half of all, as with sessions.
        maxParkedPerPrincipal = section.value(
            "max_parked_per_principal", .integer(1...100_000), default: Swift.max(1, maxParked / 2))
        // None: what a tool did before it asked is known to its server alone.
        replay = section.listValues("replay", of: .toolName, default: [])
    }
}

extension Format where Value == String {
    /// The name of a tool: whatever the server calls it.
    fileprivate static var toolName: Format {
        Format(.text) { text throws(FormatError) in
            guard (1...256).contains(text.utf8.count) else { throw FormatError("must be the name of a tool") }
            return text
        }
    }
}
