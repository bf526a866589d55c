package import Gateway

/// What the admin listener is told at its start.
package struct AdminSettings: Sendable {
    package var door: Door
    /// The server as the status page names it: scheme, host and port. Path and query may hold a secret.
    package var backendName: String
    /// Bounds that the page shows beside the numbers.
    package var maxSessions: Int
    package var maxConnections: Int
    package var maxParked: Int
    package var threads: Int

    package init(
        door: Door, backendName: String, maxSessions: Int, maxConnections: Int, maxParked: Int, threads: Int
    ) {
        self.door = door
        self.backendName = backendName
        self.maxSessions = maxSessions
        self.maxConnections = maxConnections
        self.maxParked = maxParked
        self.threads = threads
    }
}
