import Reactor

/// What one loop keeps from one configuration to the next: made once, and given into each `Gateway` that serves there.
///
/// What a client may come back for after a reload belongs here, and what is counted since the start.
package final class LoopMemory {
    let tally = RequestTally()
    /// What is known of the era of each copy of the server.
    let eras = KnownEras()

    /// Of the loop among those of the process.
    package var index: Int { replicas.index }
    /// The way to other loops of the process, and to other replicas.
    let replicas: Replicas
    /// Who goes on with which call; nil where replicas have no store.
    let claims: Claims?
    /// Sessions of older clients, of all gateways.
    let olderSessions = OlderSessions()
    /// Calls that wait for their clients, of all gateways.
    let calls: ParkedCalls
    /// Tasks of servers, whichever gateway made them.
    let tasks: HeldTasks
    /// Sessions that clients name, of all gateways.
    let handles: HeldHandles

    /// Sessions that other replicas use too; nil: each loop has its own.
    let sharing: SharedSessions?

    init(on loop: Loop, replicas: Replicas, claims: Claims?, sharing: SharedSessions?, parking: ParkingSettings) {
        self.replicas = replicas
        self.claims = claims
        self.sharing = sharing
        sharing?.knowsReplicas = { replicas.knowsReplicas }
        let outcomes = claims.map {
            StoredOutcomes(in: $0.store, prefix: $0.prefix, seal: $0.seal, on: loop)
        }
        tasks = HeldTasks(on: loop, outcomes: outcomes)
        handles = HeldHandles(on: loop)
        calls = ParkedCalls(owner: replicas.owner, settings: parking)
        calls.promoted = tasks
    }
}
