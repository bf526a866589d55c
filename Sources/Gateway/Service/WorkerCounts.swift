package import Legacy
package import Store

/// Everything that one loop counts, copied for the loop that shows it.
package struct WorkerCounts: Sendable {
    package var requests = RequestCounts()
    package var sessions = SessionCounts()
    package var parking = ParkingCounts()
    package var tasks = TaskCounts()
    package var handles = HandleCounts()
    package var peers = PeerCounts()
    /// Of the loop's own connection to the store; nil: it has none.
    package var store: StoreCounts?
    /// Of each copy of the server, in the order of the configuration.
    package var backends: [BackendCounts] = []
    /// Subscriptions that are served.
    package var subscriptions = 0
    /// Lists that are kept, and their bytes.
    package var lists = 0
    package var listBytes = 0
    /// Connections of clients.
    package var connections = 0

    package init() {}

    /// Adds those of another loop.
    package mutating func addCounts(_ other: WorkerCounts) {
        requests.addCounts(other.requests)
        sessions.addCounts(other.sessions)
        parking.addCounts(other.parking)
        tasks.addCounts(other.tasks)
        handles.addCounts(other.handles)
        peers.addCounts(other.peers)
        if let more = other.store, store?.addCounts(more) == nil { store = more }
        for counts in other.backends { addCounts(counts) }
        subscriptions += other.subscriptions
        lists += other.lists
        listBytes += other.listBytes
        connections += other.connections
    }

    package mutating func addCounts(_ counts: BackendCounts) {
        if let index = backends.firstIndex(where: { $0.label == counts.label }) {
            backends[index].addCounts(counts)
        } else {
            backends.append(counts)
        }
    }
}
