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
    private var listeners: [PlayedListener] = []
    /// What replicas seal with.
    private let key = ConfigurationFile(String(repeating: "5e", count: 32))
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
        world.tick = profile.tick
        world.onBase = { [unowned self] base in turn(base) }
    }

    /// Of one of the Remoras: a client has a favourite, and comes to others too.
    func port(of client: Int) -> UInt16 {
        let number = Dice.happens(600) ? client % profile.replicas : Dice.number(0...profile.replicas - 1)
        return Profile.port(of: number)
    }

    private var endings: [() -> Void] = []

    /// Has something happen when no call is to come any more.
    func atEnd(_ body: @escaping () -> Void) { endings.append(body) }

    func nextCall(of client: PlayedClient) -> Call? {
        guard left > 0 else { return nil }
        left -= 1
        if left == 0 {
            isEnding = true
            for body in endings { world.after(0, body) }
        }
        let tool = Dice.one(by: [(Tool.work, 6), (.look, 2), (.again, 1), (.prompt, 1), (.resource, 1)])
        let padding = Dice.happens(profile.padded) ? Dice.number(0...profile.mostPadding) : 0
        let call = model.call(of: client.caller, tool, isAskable: client.isAskable, padding: padding)
        call.isPassed = client.isPassed
        if !client.isOlder, call.tool.method == "tools/call", Dice.happens(profile.large) {
            call.fill = Dice.number(1...profile.mostFill)
        }
        if !client.isOlder, Dice.happens(profile.longIDs) { call.idFill = Dice.one(of: [100, 4200, 30_000]) }
        return call
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
        servers = (0..<profile.servers).map { number in
            PlayedServer(world, model, profile, host: 2 + number, port: UInt16(9000 + number))
        }
        for server in servers { server.onListRead = { [unowned self] in changeList(of: $0) } }
        replicas = (0..<profile.replicas).map(start)
        // What they have before the first client comes.
        world.run(until: world.now + 10 * second)
        active = profile.clients + profile.listeners
        clients = (0..<profile.clients).map { number in
            PlayedClient(self, caller: callers[number % callers.count], number: number)
        }
        listeners = (0..<profile.listeners).map { number in
            // Who gathers wants the same as others.
            let among = profile.gathering > 0 ? min(2, callers.count) : callers.count
            return PlayedListener(self, caller: callers[number % among], number: number)
        }
        if profile.looksAround { lookAround() }
        planFaults()
        watchLimits()
        world.run(until: .max)
        if let violation = model.violation { return violation }
        if active > 0 { return "nothing happens any more, and \(active) clients are left" }
        model.finish()
        settle()
        return model.violation
    }

    private func start(_ number: Int) -> Replica {
        Replica(host: 10 + number, configuration: profile.configuration(of: number, key: key.path))
    }

    // MARK: Limits

    /// Looks now and then at what each Remora has.
    private func watchLimits() {
        world.after(Dice.time(upTo: 10 * second)) { [self] in
            if isEnding { return }
            for replica in replicas {
                replica.count { [self] counts in
                    check(counts.sessions.open + counts.sessions.opening, profile.maxSessions, "sessions")
                    let mostParked = min(profile.maxParked, profile.callers * profile.maxParkedPerCaller)
                    check(counts.parking.parked, mostParked, "parked calls")
                    check(counts.connections, profile.maxConnections, "connections")
                }
            }
            watchLimits()
        }
    }

    private func check(_ count: Int, _ most: Int, _ what: String) {
        if count > most { model.violate("\(count) \(what), and \(most) are allowed") }
    }

    // MARK: Faults

    private func planFaults() {
        plan(profile.restarts) { [self] in Dice.one(of: servers).restart(after: Dice.time(upTo: 5 * second)) }
        plan(profile.reloads) { [self] in reload() }
        plan(profile.partitions) { [self] in part() }
        plan(profile.kills) { [self] in kill() }
        plan(profile.drains) { [self] in drain() }
        plan(profile.listeners > 0 ? 20 : 0) { [self] in Dice.one(of: servers).change() }
        plan(profile.listeners > 0 ? profile.storms : 0) { [self] in storm(Dice.number(5...80)) }
        plan(profile.listChanges) { [self] in changeList(of: Dice.one(of: callers).credential) }
    }

    /// Something that happens about so often in a run.
    private func plan(_ times: Int, _ body: @escaping () -> Void) {
        guard times > 0 else { return }
        let whole = Int64(max(1, profile.calls / max(1, profile.clients))) * profile.thinking / 4 + 2 * second
        world.after(
            3 * second + Dice.time(upTo: 30 * second) + Int64(Dice.number(1...200)) * whole / Int64(100 * times)
        ) { [self] in
            guard !isEnding, !world.isOver else { return }
            body()
            plan(times, body)
        }
    }

    /// Changes one after the other, as fast as they can be told: of a caller's resources, or of any.
    func storm(_ rest: Int, of caller: Caller? = nil) {
        guard !isEnding, !world.isOver, rest > 0 else { return }
        Dice.one(of: servers).change(of: caller)
        world.after(Int64(Dice.number(1...150)) * millisecond) { [self] in storm(rest - 1, of: caller) }
    }

    /// A list of a caller's becomes another one, at all copies of the server.
    func changeList(of credential: String?) {
        let method = Dice.one(of: ["tools", "prompts"])
        model.changeList("\(method) for \(credential ?? "nobody")")
        for server in servers { server.tellListChange(of: method, for: credential) }
    }

    /// Whether a session of the caller is subscribed to a resource, at any copy.
    func isSubscribed(to uri: String, for credential: String?) -> Bool {
        servers.contains { server in
            server.sessions.values.contains { $0.owner == credential && $0.subscribed.contains(uri) }
        }
    }

    private func reload() {
        model.note("reloads")
        model.trace("a reload")
        var other = profile
        other.idleTimeout = Dice.one(of: [profile.idleTimeout, profile.idleTimeout + 1])
        let number = Dice.number(0...replicas.count - 1)
        replicas[number].reload(other.configuration(of: number, key: key.path))
    }

    private func part() {
        model.note("partitions")
        let (one, other) = Dice.one(of: [(1, 10), (2, 10), (10, 11), (11, 12), (2, 11)])
        sim_part(Int32(one), Int32(other), 1)
        world.after(Dice.time(upTo: 20 * second)) { sim_part(Int32(one), Int32(other), 0) }
    }

    private func kill() {
        let number = Dice.number(0...replicas.count - 1)
        guard !replicas[number].isStopped else { return }
        model.note("kills")
        mayCut = true
        replicas[number].kill()
        world.after(Dice.time(upTo: 5 * second)) { [self] in
            if !world.isOver { replicas[number] = start(number) }
        }
    }

    /// Ends one as SIGTERM does, and starts it anew.
    private func drain() {
        let number = Dice.number(0...replicas.count - 1)
        let replica = replicas[number]
        guard !replica.isStopped, !replica.isDraining else { return }
        model.note("drains")
        // What takes longer than it may is cut.
        mayCut = true
        replica.drain()
        waitForEnd(of: replica, at: number, since: world.now)
    }

    private func waitForEnd(of replica: Replica, at number: Int, since start: Int64) {
        world.after(second) { [self] in
            // It may have been killed meanwhile, and started.
            guard !world.isOver, replicas[number] === replica else { return }
            if replica.isKilled { return }
            if replica.isStopped {
                // What is left ends with the process.
                sim_kill(Int32(replica.host))
                replicas[number] = self.start(number)
            } else if world.now - start > 60 * second {
                model.violate("a Remora has not ended \((world.now - start) / second) s after SIGTERM")
            } else {
                waitForEnd(of: replica, at: number, since: start)
            }
        }
    }

    /// Asks now and then what an operator asks.
    private func lookAround() {
        world.after(Dice.time(upTo: 20 * second)) { [self] in
            if isEnding { return }
            let number = Dice.number(0...replicas.count - 1)
            let look = PlayedLook(at: Profile.adminPort(of: number), of: model, in: world)
            world.after(20 * second) { [weak look] in look?.close() }
            lookAround()
        }
    }

    // MARK: The end

    /// Everybody has gone: what is left goes in its time.
    private func settle() {
        world.isOver = false
        var calm = profile.weather
        calm.reset = 0
        calm.unanswered = 0
        sim_set_weather(calm)
        let waits = profile.idleTimeout + profile.requestTimeout * 2 + profile.parkTimeout * 2 + 120
        world.run(until: world.now + Int64(waits) * second)
        for replica in replicas where !replica.isStopped {
            var isCounted = false
            replica.count { [self] counts in
                if counts.connections != 0 { model.violate("\(counts.connections) connections are left") }
                if counts.sessions.open != 0 { model.violate("\(counts.sessions.open) sessions are left") }
                if counts.sessions.opening != 0 { model.violate("\(counts.sessions.opening) handshakes are left") }
                if counts.sessions.ending != 0 { model.violate("\(counts.sessions.ending) sessions are being ended") }
                if counts.parking.parked != 0 { model.violate("\(counts.parking.parked) parked calls are left") }
                if counts.subscriptions != 0 { model.violate("\(counts.subscriptions) subscriptions are left") }
                isCounted = true
            }
            world.run(until: world.now + second)
            if model.violation != nil { return }
            if !isCounted { return model.violate("a loop does not answer") }
            if replica.descriptorCount != replica.descriptorsAtStart {
                model.violate(
                    "descriptors are left, of which there were \(replica.descriptorsAtStart): \(replica.descriptors)")
            }
            if replica.eventCount > replica.eventsAtStart + 1 {
                model.violate("\(replica.eventCount) events are waited for, \(replica.eventsAtStart) at the start")
            }
        }
        for replica in replicas { replica.drain() }
        world.run(until: world.now + 40 * second)
        if model.violation != nil { return }
        for replica in replicas {
            guard replica.isStopped else { return model.violate("a Remora does not end") }
            // Those of the loop itself end with the process.
            if !replica.isKilled, replica.descriptorCount > Replica.ofLoop {
                model.violate("descriptors are left at the end: \(replica.descriptors)")
            }
        }
    }
}
