/// Failures between replicas since the start, as one loop counts them.
package struct PeerCounts: Sendable {
    /// Requests that this replica has refused.
    package var refusedHere = 0
    /// Requests that another replica has refused, or has not answered.
    package var refusedThere = 0

    package init() {}

    /// Adds the counts of another loop.
    package mutating func addCounts(_ other: PeerCounts) {
        refusedHere += other.refusedHere
        refusedThere += other.refusedThere
    }
}
