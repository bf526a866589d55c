/// How often the configuration was read anew, and what came of it.
package struct ReloadCounts: Sendable {
    /// How many were taken over.
    package private(set) var succeeded = 0
    /// How many were not, so that the one before stayed in force.
    package private(set) var failed = 0
    /// Nil before the first.
    package private(set) var last: Outcome?

    package struct Outcome: Sendable {
        /// Nanoseconds since 1970.
        package let time: Int
        /// Why it was not taken over; empty where it was.
        package let reasons: [String]
    }

    package init() {}

    package mutating func noteSuccess(at time: Int) {
        succeeded += 1
        last = Outcome(time: time, reasons: [])
    }

    package mutating func noteFailure(at time: Int, _ reasons: [String]) {
        failed += 1
        last = Outcome(time: time, reasons: reasons)
    }
}
