import Glibc

/// All callers: half of them honest, half of them hostile.
final class Field {
    let poller = Poller()
    let host: String
    private let port: UInt16
    var chance: Chance
    let counts: Counts
    private var honest: [ObjectIdentifier: Honest] = [:]
    private var number = 0

    init(_ port: UInt16, seed: UInt64) {
        self.port = port
        host = "127.0.0.1:\(port)"
        chance = Chance(seed: seed)
        counts = Counts(seed: seed)
    }

    func call(of principal: Int, _ plan: Plan) -> Call {
        number += 1
        return Call(principal: principal, number: number, plan: plan, &chance)
    }

    /// Returns whether all is well.
    func run(answers: Int, seconds: Int, principals: Int, connections: Int) -> Bool {
        for principal in 0..<principals {
            if principal % 2 == 0 {
                for _ in 0..<connections { open(principal) }
            } else {
                attack(principal)
            }
        }
        let end = poller.now + UInt64(seconds) * 1000
        look()
        poller.run { counts.answers < answers && poller.now < end && counts.foreign + counts.missing < 100 }
        counts.say("done")
        return counts.foreign == 0 && counts.missing == 0 && counts.answers > 0
    }

    private func open(_ principal: Int) {
        guard let descriptor = Link.connect(to: port) else {
            poller.after(100) { [self] in open(principal) }
            return
        }
        let link = Honest(descriptor, in: self, principal: principal)
        honest[ObjectIdentifier(link)] = link
        link.go()
    }

    func replace(_ link: Honest, principal: Int) {
        honest[ObjectIdentifier(link)] = nil
        poller.after(1) { [self] in open(principal) }
    }

    private func attack(_ principal: Int) {
        guard let descriptor = Link.connect(to: port) else {
            poller.after(100) { [self] in attack(principal) }
            return
        }
        let link = Hostile(descriptor, in: self, principal: principal) { [self] in
            poller.after(chance.number(0...10)) { self.attack(principal) }
        }
        link.go()
    }

    private func look() {
        for link in Array(honest.values) { link.look() }
        counts.say("second")
        poller.after(1000) { [self] in look() }
    }
}
