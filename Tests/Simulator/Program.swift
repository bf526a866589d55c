import Glibc
import SimulatedKernel

enum Program {
    private final class Start {
        let seed: UInt64
        let options: Options
        var status: Int32 = 1

        init(_ seed: UInt64, _ options: Options) { (self.seed, self.options) = (seed, options) }
    }

    /// One run, on a stack of its own. Returns the status of the process.
    static func playApart(_ seed: UInt64, _ options: Options) -> Int32 {
        let start = Start(seed, options)
        sim_on_own_stack(
            { context in
                guard let context else { return }
                let start = Unmanaged<Start>.fromOpaque(context).takeUnretainedValue()
                start.status = Program.play(start.seed, start.options)
            }, Unmanaged.passUnretained(start).toOpaque())
        return start.status
    }

    /// One run. Returns the status of the process: 1 where something is wrong.
    static func play(_ seed: UInt64, _ options: Options) -> Int32 {
        sim_start(seed)
        let run = Run(options.profile())
        let wrong = run.go()
        if options.isTracing { run.model.trace.lines.forEach(say) }
        if options.showsCalls { sim_print_calls() }
        say(
            "seed \(seed) \(run.profile.mood): \(run.model.answers) answers of \(run.model.calls.count) calls, \(String(seconds: sim_now())) s, digest \(String(sim_digest(), radix: 16))"
        )
        if options.isLong {
            for (name, count) in run.model.counts.sorted(by: { $0.key < $1.key }) { say("  \(name): \(count)") }
            say("  most turns of a loop in a row: \(sim_most_turns())")
        }
        guard let wrong else { return 0 }
        say("VIOLATION: \(wrong)")
        sim_let_threads_run()
        usleep(100_000)
        return 1
    }

    static func say(_ line: String) {
        let bytes = Array("\(line)\n".utf8)
        _ = write(STDOUT_FILENO, bytes, bytes.count)
    }
}
