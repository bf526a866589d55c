package import Gateway

/// What the admin listener is told at its start.
package struct AdminSettings: Sendable {
    package var door: Door
    /// Bounds that the page shows beside the numbers.
    package var maxSessions: Int
    package var maxConnections: Int
    package var maxParked: Int
    package var threads: Int

    package init(door: Door, maxSessions: Int, maxConnections: Int, maxParked: Int, threads: Int) {
        self.door = door
        self.maxSessions = maxSessions
        self.maxConnections = maxConnections
        self.maxParked = maxParked
        self.threads = threads
    }
}
