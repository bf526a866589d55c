import Glibc

/// Runs in processes of their own: a run that traps is one that went wrong.
enum Series {
    /// Seconds that a run may take. A loop that never sleeps has no end.
    private static let patience = 300
    /// Seconds between two lines about a long series.
    private static let reportInterval = 600

    private struct Child {
        let id: pid_t
        let output: Int32
        let options: Options
        let start: Int
    }

    struct Outcome {
        let options: Options
        /// What is wrong; nil: nothing.
        let wrong: String?
        var amount = Amount()
    }

    /// How much was simulated.
    struct Amount {
        var answers = 0
        var calls = 0
        /// Of the simulated clock.
        var seconds = 0.0

        init() {}

        /// Of the line that a run closes on.
        fileprivate init(_ line: Substring) {
            answers = line.word(before: "answers").flatMap { Int($0) } ?? 0
            calls = line.word(before: "calls,").flatMap { Int($0) } ?? 0
            seconds = line.word(before: "s,").flatMap { Double($0) } ?? 0
        }

        mutating func add(_ other: Amount) {
            answers += other.answers
            calls += other.calls
            seconds += other.seconds
        }

        func summary(in time: Int) -> String {
            "\(answers) answers of \(calls) calls in \(time) s, \(Int(seconds / 3600)) simulated hours"
        }
    }

    // MARK: What is asked for

    /// Plays the runs of a file, and then new ones for some time. Returns the status of the process.
    static func play(_ options: Options) -> Int32 {
        var runs: [Options] = []
        if let file = options.kept {
            guard let found = kept(in: file) else { return 64 }
            runs = found
        }
        let first = options.first ?? UInt64.random(in: 0..<1 << 40)
        if options.seconds != nil { say("seeds from \(first) on") }
        var next = first
        var end: Int?
        return play(options) {
            if !runs.isEmpty { return runs.removeFirst() }
            guard let seconds = options.seconds else { return nil }
            let last = end ?? now() + seconds
            end = last
            guard now() < last else { return nil }
            defer { next += 1 }
            var one = options
            one.seed = next
            return one
        }
    }

    private static func kept(in file: String) -> [Options]? {
        guard let text = read(file) else {
            say("cannot read \(file)")
            return nil
        }
        var runs: [Options] = []
        for line in text.split(separator: "\n") {
            let words = line.prefix { $0 != "#" }.split(separator: " ").map(String.init)
            if words.isEmpty { continue }
            guard let run = Options(words[...]) else {
                say("not a run: \(line)")
                return nil
            }
            runs.append(run)
        }
        return runs
    }

    private static func play(_ options: Options, _ next: () -> Options?) -> Int32 {
        var (passed, failed) = (0, 0)
        var amount = Amount()
        var children: [Child] = []
        var isOver = false
        let start = now()
        var lastReport = start
        while true {
            while !isOver, children.count < options.jobs {
                guard let one = next() else {
                    isOver = true
                    break
                }
                if let child = begin(one) { children.append(child) }
            }
            if children.isEmpty { break }
            let outcome = end(children.removeFirst())
            amount.add(outcome.amount)
            if now() - lastReport >= reportInterval {
                lastReport = now()
                say("\(amount.summary(in: lastReport - start)), \(failed) wrong")
            }
            if let wrong = outcome.wrong {
                failed += 1
                say("WRONG after \(now() - start) s: \(outcome.options.arguments.joined(separator: " "))\n  \(wrong)")
                if options.stopsAtFirst { return 1 }
                if !options.isUnshrunk {
                    say(
                        "  the smallest that goes wrong too: \(shrunk(outcome.options).arguments.joined(separator: " "))"
                    )
                }
            } else {
                passed += 1
            }
        }
        say(amount.summary(in: now() - start))
        say("\(passed) passed, \(failed) failed")
        return failed > 0 ? 1 : 0
    }

    /// Prints the smallest run that goes wrong. Returns the status of the process.
    static func shrink(_ options: Options) -> Int32 {
        guard run(options).wrong != nil else {
            say("nothing goes wrong")
            return 0
        }
        let small = shrunk(options)
        say("simulator \(small.arguments.joined(separator: " "))\n  \(run(small).wrong ?? "nothing")")
        return 1
    }

    /// The smallest run that was found to go wrong: without what is not needed, with fewer clients, and with fewer calls.
    private static func shrunk(_ options: Options) -> Options {
        var best = options
        var tries = 60
        func goesWrong(_ candidate: Options) -> Bool {
            tries -= 1
            return tries >= 0 && run(candidate).wrong != nil
        }
        for part in Profile.parts where !best.without.contains(part) {
            var candidate = best
            candidate.without.append(part)
            if goesWrong(candidate) { best = candidate }
        }
        for (key, most) in [(\Options.clients, 30), (\Options.calls, 400)] {
            var least = 1
            var most = best[keyPath: key] ?? most
            while least < most, tries > 0 {
                let middle = (least + most) / 2
                var candidate = best
                candidate[keyPath: key] = middle
                if goesWrong(candidate) {
                    best = candidate
                    most = middle
                } else {
                    least = middle + 1
                }
            }
        }
        return best
    }

    // MARK: Processes

    private static func run(_ options: Options) -> Outcome {
        guard let child = begin(options) else {
            return Outcome(options: options, wrong: "cannot start a process")
        }
        return end(child)
    }

    private static func begin(_ options: Options) -> Child? {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { return nil }
        _ = fcntl(ends[0], F_SETFD, FD_CLOEXEC)
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        for descriptor in [STDOUT_FILENO, STDERR_FILENO] {
            posix_spawn_file_actions_adddup2(&actions, ends[1], descriptor)
        }
        posix_spawn_file_actions_addclose(&actions, ends[1])
        var arguments = (["simulator"] + options.arguments).map { strdup($0) } + [nil]
        defer { arguments.forEach { free($0) } }
        var id: pid_t = 0
        let failure = posix_spawn(&id, "/proc/self/exe", &actions, nil, &arguments, environ)
        close(ends[1])
        guard failure == 0 else {
            close(ends[0])
            return nil
        }
        return Child(id: id, output: ends[0], options: options, start: now())
    }

    private static func end(_ child: Child) -> Outcome {
        var text: [UInt8] = []
        var part = [UInt8](repeating: 0, count: 64 << 10)
        var isLate = false
        while true {
            let rest = child.start + patience - now()
            var look = pollfd(fd: child.output, events: Int16(POLLIN), revents: 0)
            if !isLate, poll(&look, 1, Int32(max(0, rest) * 1000)) == 0 {
                isLate = true
                kill(child.id, SIGKILL)
            }
            let count = Glibc.read(child.output, &part, part.count)
            if count <= 0 { break }
            text += part[..<count]
        }
        close(child.output)
        var status: Int32 = 0
        while waitpid(child.id, &status, 0) < 0, errno == EINTR {}
        let lines = String(decoding: text, as: UTF8.self).split(separator: "\n")
        let last = lines.first { $0.hasPrefix("seed ") }
        var wrong: String?
        if status != 0 {
            let said = lines.filter { $0.contains("VIOLATION") || $0.contains("atal error") || $0.contains("kernel:") }
            let end =
                isLate
                ? "it takes longer than \(patience) s"
                : status & 0x7F == 0 ? "status \(status >> 8)" : "signal \(status & 0x7F)"
            wrong = ([end] + said.prefix(3).map { String($0.prefix(500)) }).joined(separator: "; ")
        }
        return Outcome(options: child.options, wrong: wrong, amount: last.map { Amount($0) } ?? Amount())
    }

    // MARK: The world outside

    private static func now() -> Int {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return time.tv_sec
    }

    private static func read(_ path: String) -> String? {
        let file = open(path, O_RDONLY)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        let count = Glibc.read(file, &bytes, bytes.count)
        return count < 0 ? nil : String(decoding: bytes[..<count], as: UTF8.self)
    }

    private static func say(_ text: String) { Program.say(text) }
}

extension Substring {
    /// The word that stands right before another.
    fileprivate func word(before text: String) -> Substring? {
        let words = split(separator: " ")
        guard let index = words.firstIndex(where: { $0 == text }), index > 0 else { return nil }
        return words[index - 1]
    }
}
