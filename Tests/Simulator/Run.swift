import Gateway
import Legacy
import SimulatedKernel

/// One run, from a seed to its end.
final class Run {
    static let hostOfClients: Int32 = 1
    let world = World()
    let model: Model
    let profile: Profile
    private var replicas: [Replica] = []
    private var servers: [PlayedServer] = []
    private var clients: [PlayedClient] = []
    private var callers: [Caller] = []
    private var left: Int
    private var baseline: (descriptors: Int, events: Int) = (0, 0)
    private var active = 0
    /// Whether a Remora may cut its clients' connections now.
    private(set) var mayCut = false
    private(set) var isEnding = false

    init(_ profile: Profile) {
        self.profile = profile
        model = Model(world)
        left = profile.calls
        sim_set_weather(profile.weather)
        mayCut = profile.weather.reset > 0 || profile.weather.late > 0 && profile.mood != .breezy
        callers = (0..<profile.callers).map { number in
            Caller(number: number, credential: number == 0 && profile.anonymous > 0 ? nil : "Bearer caller-\(number)")
        }
        world.onBase = { [unowned self] base in turn(base) }
    }

    func port(for client: PlayedClient) -> UInt16 { 8808 }

    func nextCall(of client: PlayedClient) -> Call? {
        guard left > 0 else { return nil }
        left -= 1
        if left == 0 { isEnding = true }
        let tool = Dice.one(by: [(Tool.work, 6), (.look, 2), (.again, 1), (.prompt, 1), (.resource, 1)])
        let padding = Dice.happens(profile.padded) ? Dice.number(0...profile.mostPadding) : 0
        return model.call(of: client.caller, tool, isAskable: client.isAskable, padding: padding)
    }

    func clientEnded() {
        active -= 1
        if active == 0 { world.isOver = true }
    }

    private func turn(_ base: UnsafeMutableRawPointer) {
        guard let replica = replicas.first(where: { $0.base == base }) else { return }
        replica.run()
        if replica.internalErrors > 0 { model.violate("an internal error of Remora") }
    }

    /// Everything. Returns what is wrong; nil where nothing is.
    func go() -> String? {
        servers = [PlayedServer(world, model, profile, host: 2, port: 9000)]
        replicas = [Replica(host: 10, configuration: profile.configuration)]
        // What it has before the first client comes.
        world.run(until: world.now + 10 * second)
        baseline = (replicas[0].descriptorCount, replicas[0].eventCount)
        active = profile.clients
        clients = (0..<profile.clients).map { number in
            PlayedClient(self, caller: callers[number % callers.count], number: number)
        }
        planFaults()
        world.run(until: .max)
        if let violation = model.violation { return violation }
        if active > 0 { return "nothing happens any more, and \(active) clients are left" }
        model.finish()
        settle()
        return model.violation
    }

    private func planFaults() {
        guard profile.restarts > 0 else { return }
        let pause = Int64(Dice.number(1...100)) * profile.thinking / Int64(profile.restarts)
        world.after(pause) { [self] in
            guard !isEnding else { return }
            servers[0].restart(after: Dice.time(upTo: 5 * second))
            planFaults()
        }
    }

    /// Everybody has gone: what is left goes in its time.
    private func settle() {
        world.isOver = false
        var calm = profile.weather
        calm.reset = 0
        calm.unanswered = 0
        sim_set_weather(calm)
        let waits = profile.idleTimeout + profile.requestTimeout * 2 + profile.parkTimeout * 2 + 120
        world.run(until: world.now + Int64(waits) * second)
        replicas[0].count { [self] counts in
            if counts.connections != 0 { model.violate("\(counts.connections) connections are left") }
            if counts.sessions.open != 0 { model.violate("\(counts.sessions.open) sessions are left") }
            if counts.sessions.opening != 0 { model.violate("\(counts.sessions.opening) handshakes are left") }
            if counts.parking.parked != 0 { model.violate("\(counts.parking.parked) parked calls are left") }
            model.note("counted")
        }
        world.run(until: world.now + second)
        if model.violation != nil { return }
        let now = (descriptors: replicas[0].descriptorCount, events: replicas[0].eventCount)
        if now.descriptors != baseline.descriptors { model.violate("descriptors are left, of which there were \(baseline.descriptors): \(replicas[0].descriptors)") }
        if now.events > baseline.events { model.violate("\(now.events) events are waited for, \(baseline.events) at the start") }
        if model.counts["counted"] != 1 { return model.violate("the loop does not answer") }
        replicas[0].drain()
        world.run(until: world.now + 40 * second)
        if model.violation != nil { return }
        guard replicas[0].isStopped else { return model.violate("it does not end") }
        // Those of the loop itself end with the process.
        if replicas[0].descriptorCount > Replica.ofLoop { model.violate("descriptors are left at the end: \(replicas[0].descriptors)") }
    }
}
