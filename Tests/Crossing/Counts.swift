import Glibc

/// What came of it.
final class Counts {
    let seed: UInt64
    private(set) var answers = 0
    /// Answers that hold what is another's.
    private(set) var foreign = 0
    /// Answers that should have come and did not.
    private(set) var missing = 0
    private var kinds: [String: Int] = [:]
    private(set) var attacks = 0

    init(seed: UInt64) { self.seed = seed }

    func count(_ call: Call, _ verdict: Call.Verdict) {
        answers += 1
        switch verdict {
        case .own: break
        case .foreign(let what):
            foreign += 1
            tell("FOREIGN: \(what)")
        case .error(let what): failed(call, what)
        }
    }

    /// What a hostile caller has heard: an error is what it wanted.
    func heard(_ call: Call, _ verdict: Call.Verdict) {
        answers += 1
        guard case .foreign(let what) = verdict else { return }
        foreign += 1
        tell("FOREIGN, to a hostile caller: \(what)")
    }

    /// No answer, or an error.
    func failed(_ call: Call, _ what: String) {
        if !call.plan.isAnswered { return add("expected: \(what)") }
        missing += 1
        add(what)
        tell("missing: \(call.mark), plan \(call.plan): \(what)")
    }

    func attacked() { attacks += 1 }

    private func add(_ kind: String) { kinds[kind, default: 0] += 1 }

    private func tell(_ what: String) {
        if foreign + missing <= 20 { complain("crossing: \(what)") }
    }

    func say(_ event: String) {
        let errors = kinds.sorted { $0.key < $1.key }.map { "\"\($0.key.filter { $0 != "\"" })\":\($0.value)" }
        print(
            #"{"event":"\#(event)","seed":\#(seed),"answers":\#(answers),"foreign":\#(foreign),"#
                + #""missing":\#(missing),"attacks":\#(attacks),"errors":{\#(errors.joined(separator: ","))}}"#)
        fflush(nil)
    }
}

/// A line on standard error.
func complain(_ what: String) {
    let line = Array("\(what)\n".utf8)
    _ = write(STDERR_FILENO, line, line.count)
}
