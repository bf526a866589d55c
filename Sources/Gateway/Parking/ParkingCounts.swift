/// What has become of the calls of one loop during which clients were asked.
package struct ParkingCounts: Sendable {
    /// Calls now that wait for their clients, or go on after they did.
    package var parked = 0
    /// Responses now that are kept for clients that did not get them.
    package var kept = 0
    /// Answers that were questions.
    package var rounds = 0
    /// Questions in them.
    package var questions = 0
    /// Calls that came to their end although a client was asked.
    package var finished = 0
    /// Calls that were given up because no retry came.
    package var abandoned = 0
    /// Retries whose call was not there any more.
    package var lost = 0
    /// Retries whose answers were not delivered, because another replica has the call.
    package var held = 0
    /// Retries whose answers were not delivered, because the store did not say who has the call.
    package var unclaimed = 0
    /// Retries whose `requestState` was not theirs, not valid, or not any more.
    package var refusedStates = 0
    /// Questions for which there was no place.
    package var full = 0

    package init() {}

    /// Adds those of another loop.
    package mutating func addCounts(_ other: ParkingCounts) {
        parked += other.parked
        kept += other.kept
        rounds += other.rounds
        questions += other.questions
        finished += other.finished
        abandoned += other.abandoned
        lost += other.lost
        held += other.held
        unclaimed += other.unclaimed
        refusedStates += other.refusedStates
        full += other.full
    }
}
