package import Legacy

/// Everything that one loop counts, copied for the loop that shows it.
package struct ShardCounts: Sendable {
    package var requests = RequestCounts()
    package var sessions = SessionCounts()
    package var parking = ParkingCounts()
    package var backend = ConnectionCounts()
    /// Connections of clients.
    package var connections = 0

    package init() {}

    /// Adds those of another loop.
    package mutating func add(_ other: ShardCounts) {
        requests.add(other.requests)
        sessions.add(other.sessions)
        parking.add(other.parking)
        backend.add(other.backend)
        connections += other.connections
    }
}
