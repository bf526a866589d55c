import Reactor
import Testing

@testable import Gateway

private typealias Stage = ParkedCallStage

/// Whatever happens, in whatever order.
@Suite struct ParkedCallRandomTests {
    /// A small generator (SplitMix64), so that what fails fails again.
    private struct Random: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var mixed = (state ^ (state >> 30)) &* 0xBF58_476D_1CE4_E5B9
            mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
            return mixed ^ (mixed >> 31)
        }
    }

    /// What was done so far.
    private struct Record {
        var replied: Set<Substring> = []
        var answered: Set<Int> = []
        var left: Set<Int> = []
        var sessionEnds = 0
        var isForgotten = false

        /// - Parameter context: for the message when something is wrong.
        mutating func add(_ actions: [String], _ context: String) {
            for action in actions {
                let words = action.split(separator: " ", maxSplits: 2)
                switch words[0] {
                case "reply":
                    let id = action.split(separator: #""id":"#)[1].prefix { $0 != "," }
                    #expect(replied.insert(id).inserted, "\(context): \(id) is answered twice")
                case "ask", "finish", "reject":
                    for leg in words[1].dropLast().split(separator: ",").compactMap({ Int($0) }) {
                        #expect(answered.insert(leg).inserted, "\(context): leg \(leg) is answered twice")
                        #expect(!left.contains(leg), "\(context): leg \(leg) has left")
                    }
                    if words[0] == "ask" {
                        #expect(words.count > 2 && words[2].contains("-"), "\(context): no question")
                    }
                case "forward":
                    for leg in words[1].dropLast().split(separator: ",").compactMap({ Int($0) }) {
                        #expect(!answered.contains(leg), "\(context): leg \(leg) is answered already")
                    }
                case "release", "discard":
                    sessionEnds += 1
                case "forget":
                    #expect(!isForgotten, "\(context): forgotten twice")
                    isForgotten = true
                default:
                    #expect(!isForgotten, "\(context): \(action) of a call that is forgotten")
                }
            }
        }
    }

    private static let answers = [
        #"{"elicitation-1":{"action":"accept","content":{}},"elicitation-2":{"action":"accept"}}"#,
        #"{"elicitation-2":{"action":"decline"},"elicitation-3":{"action":"accept"}}"#,
        #"{"roots-1":{"roots":[]},"roots-2":{"roots":[]},"roots-3":{"roots":[]}}"#, "{}",
        #"{"elicitation-1":{"action":"accept"},"elicitation-3":{"action":"cancel"},"roots-4":{"roots":[]}}"#,
        #"{"elicitation-1":7,"roots-2":{}}"#,
    ]

    private func event(
        _ random: inout Random, _ stage: inout Stage, _ record: inout Record, leg: inout Int
    ) throws -> [String] {
        let id = ["0", #""0""#, "1", "2", "3"].randomElement(using: &random) ?? "0"
        switch Int.random(in: 0..<14, using: &random) {
        case 0: return try stage.asks(Stage.form(id))
        case 1, 2: return try stage.asks(Stage.page(id, elicitation: id == "0" ? "e" : "f"))
        case 3: return try stage.asks(Stage.roots(id))
        case 4: return stage.withdraws(id)
        case 5: return stage.completes(Bool.random(using: &random) ? "e" : "f")
        case 6: return try stage.says(Bool.random(using: &random) ? Stage.log("l") : Stage.progress(1))
        case 7, 8, 9:
            leg += 1
            let capabilities = Int.random(in: 0..<8, using: &random) == 0 ? #"{"roots":{}}"# : Stage.everything
            return try stage.retries(Self.answers.randomElement(using: &random) ?? "{}", capabilities: capabilities)
        case 10:
            let gone = Int.random(in: 1...leg, using: &random)
            if Bool.random(using: &random) {
                let actions = stage.leaves(gone)
                record.left.insert(gone)
                return actions
            }
            return []
        case 11: return stage.waits(ms: Int.random(in: 0..<200, using: &random))
        case 12: return stage.waits(seconds: [1, 3, 25, 600].randomElement(using: &random) ?? 1)
        default:
            switch Int.random(in: 0..<6, using: &random) {
            case 0: return stage.answers(isFailure: Bool.random(using: &random))
            case 1: return try stage.requires(["e", "f"])
            default: return []
            }
        }
    }

    @Test(arguments: 0..<20) func eachIsAnsweredOnceAndTheCallComesToAnEnd(seed: Int) throws {
        for run in 0..<100 {
            var random = Random(state: UInt64(seed * 1000 + run))
            var stage = try Stage(phase: Bool.random(using: &random) ? .dispatched : .predispatch)
            var record = Record()
            var leg = 1
            let context = "seed \(seed), run \(run)"
            for _ in 0..<40 {
                record.add(try event(&random, &stage, &record, leg: &leg), context)
                // Whoever left before his answer does not wait for one.
                record.left.subtract(record.answered)
            }
            record.add(stage.answers(), context)
            while let deadline = stage.deadline {
                let milliseconds = Int(deadline.nanoseconds / 1_000_000) + 1
                record.add(stage.waits(ms: milliseconds), context)
            }
            #expect(record.isForgotten, "\(context): not forgotten")
            #expect(record.sessionEnds == 1, "\(context): the session is given back \(record.sessionEnds) times")
            #expect(record.answered.union(record.left) == Set(1...leg), "\(context): a leg still waits")
        }
    }
}
