import Glibc
import TestSupport
import Testing

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
