/// What has gone wrong between replicas since the start, as one loop counts it.
package struct PeerCounts: Sendable {
    /// Requests that this replica did not let in.
    package var refusedHere = 0
    /// Requests that another one did not let in, or did not answer.
    package var refusedThere = 0

    package init() {}

    /// Adds those of another loop.
    package mutating func add(_ other: PeerCounts) {
        refusedHere += other.refusedHere
        refusedThere += other.refusedThere
    }
}
