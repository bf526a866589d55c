import Glibc
import Testing

/// A small generator (SplitMix64), so that what fails fails again.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = (state ^ (state >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// One of so many, all as likely.
    mutating func below(_ count: Int) -> Int { Int(truncatingIfNeeded: next() >> 33) % count }
}

/// How long machines are driven by random events. `REMORA_STEPS` is how many events each of them gets, and `REMORA_SEED` with
/// which seed it begins.
enum RandomSteps {
    /// Few enough for every run of the tests.
    private static let few = 40_000

    private static func number(_ name: String) -> Int? { getenv(name).flatMap { Int(String(cString: $0)) } }

    /// Events that were asked for; none where that was left open.
    static var wanted: Int { number("REMORA_STEPS") ?? 0 }

    /// Runs a drive with one seed after the other until there were enough events.
    ///
    /// - Parameter run: gets a seed, and returns how many events there were; or throws what is wrong.
    static func drive(_ what: String, _ run: (UInt64) throws(Violation) -> Int) {
        let steps = number("REMORA_STEPS") ?? few
        var seed = UInt64(number("REMORA_SEED") ?? 1)
        var done = 0
        while done < steps {
            do throws(Violation) {
                done += max(1, try run(seed))
            } catch {
                Issue.record("\(what), seed \(seed): \(error.what)")
                return
            }
            seed &+= 1
        }
        if number("REMORA_STEPS") != nil { print("\(what): \(done) events, seeds up to \(seed), 0 violations") }
    }
}

struct Violation: Error { let what: String }
