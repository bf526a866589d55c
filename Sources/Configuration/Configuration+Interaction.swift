extension Configuration {
    /// Calls during which the server asks the client, and which wait for its answers.
    package struct Interaction: Sendable, Equatable {
        /// How long a client may take to come back with answers: 1 second to 24 hours.
        package var parkTimeout: Duration
        /// How many calls may wait for their clients, on all threads together: 1 to 100 000.
        package var maxParked: Int
        /// How many of them one principal may have: 1 to 100 000. More than ``maxParked`` is as much as that.
        package var maxParkedPerPrincipal: Int
    }
}

extension Configuration.Interaction {
    init(_ section: inout Section) {
        // A person reads, thinks, and perhaps asks somebody; who has not come back by then most likely never will.
        parkTimeout = section.value("park_timeout", .duration(.seconds(1) ... .hours(24)), default: .minutes(10))
        // Some 20 MB. Each holds a session too, so sessions.max is met first unless it was raised.
        maxParked = section.value("max_parked", .integer(1...100_000), default: 1024)
        // Half of all, as with sessions.
        maxParkedPerPrincipal = section.value(
            "max_parked_per_principal", .integer(1...100_000), default: Swift.max(1, maxParked / 2))
    }
}
