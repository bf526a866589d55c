import Foundation

/// A small generator (SplitMix64), so that what fails fails again.
package struct SplitMix: RandomNumberGenerator {
    package var state: UInt64

    package init(state: UInt64) { self.state = state }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = (state ^ (state >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// One of so many, all as likely.
    package mutating func below(_ count: Int) -> Int { Int(truncatingIfNeeded: next() >> 33) % count }
}

/// What is not as a model says.
package struct Violation: Error {
    package let what: String

    package init(what: String) { self.what = what }
}

/// The seeds of random runs: those that went wrong once, forty more, and with `REMORA_STEPS` as many others as come to so many steps.
///
/// - Parameters:
///   - kept: seeds that went wrong once.
///   - steps: of one run.
package func seedsOfRuns(kept: [UInt64] = [], steps: Int) -> [UInt64] {
    let known = kept + Array(1...40)
    guard let wanted = ProcessInfo.processInfo.environment["REMORA_STEPS"].flatMap({ Int($0) }) else { return known }
    let first = UInt64.random(in: 0 ... .max)
    print("seeds from \(first) on")
    return known + (0..<UInt64(max(0, wanted / steps - known.count))).map { first &+ $0 }
}
