import SimulatedKernel

/// A client that listens to changes of a resource of its caller's, for a while, and again.
final class PlayedListener {
    let run: Run
    let caller: Caller
    private let number: Int
    private var listens = 0
    private var link: ListenerLink?

    init(_ run: Run, caller: Caller, number: Int) {
        self.run = run
        self.caller = caller
        self.number = number
        listen(within: 5 * second)
    }

    private func listen(within time: Int64) {
        var delay = Dice.time(upTo: time)
        let gathering = run.profile.gathering
        if gathering > 0 { delay += gathering - (run.world.now + delay) % gathering }
        run.world.after(delay) { [self] in listen() }
    }

    private func listen() {
        guard !run.world.isOver else { return }
        if run.isEnding { return run.clientEnded() }
        listens += 1
        let link = ListenerLink(of: self, id: "listen-\(number)-\(listens)", to: run.port(of: number))
        self.link = link
        let most = Dice.one(of: [run.profile.dozes > 0 ? 100 * second : 5 * second, 300 * second])
        run.world.after(Dice.time(upTo: most)) { [weak link] in link?.leave() }
        // The end of the run waits for nobody who only listens.
        run.atEnd { [weak link] in link?.leave() }
    }

    func ended() {
        link = nil
        listen(within: 3 * second)
    }
}

/// The connection of a listener.
final class ListenerLink: Wire {
    private let listener: PlayedListener
    private let id: String
    private var reader = HTTPReader(ofRequests: false)
    private var events = EventReader()
    private var isStream = false
    /// When it was told that it is listened for; nil: not yet.
    private var since: Int64?
    private let wanted: [String]
    private var honoured: [String] = []
    private var heard: [String: Int64] = [:]
    private var isOver = false

    init(of listener: PlayedListener, id: String, to port: UInt16) {
        self.listener = listener
        self.id = id
        let all = Model.uris(of: listener.caller)
        wanted = (0..<Dice.number(1...3)).map { _ in Dice.one(of: all) }
        super.init(sim_connect(Run.hostOfClients, port), in: listener.run.world, isConnected: false)
        send(Request.listen(id, to: wanted).bytes(of: listener.caller))
        // Whoever is not heard tries again.
        world.after(20 * second) { [weak self] in if let self, !isConnected { leave() } }
    }

    private var model: Model { listener.run.model }

    func leave() {
        guard !isOver else { return }
        isOver = true
        if Dice.happens(300) { reset() } else { close() }
        listener.ended()
    }

    private func lose() {
        if isOver { return }
        isOver = true
        close()
        listener.ended()
    }

    override func finished() { lose() }
    override func ended() { lose() }

    override func received(_ bytes: [UInt8]) {
        model.check(received: bytes, by: listener.caller)
        reader.append(bytes)
        do throws(HTTPReader.Malformed) {
            while isOpen, let part = try reader.next() {
                switch part {
                case .head(let head): isStream = head["content-type"]?.hasPrefix("text/event-stream") ?? false
                case .body(let bytes): if isStream { events.append(bytes) { hear($0) } }
                case .end: lose()
                }
            }
        } catch {
            model.violate("a listener received what is not HTTP: \(error.what)")
        }
    }

    private func hear(_ data: [UInt8]) {
        guard let message = JSON(data) else { return model.violate("a listener received what is not JSON") }
        guard let method = message["method"]?.text else { return }
        let of = message["params"]?["_meta"]?["io.modelcontextprotocol/subscriptionId"]?.text
        if of != id { return model.violate("listener \(id) was told what belongs to \(of ?? "nobody")") }
        switch method {
        case "notifications/subscriptions/acknowledged":
            if since != nil { model.violate("listener \(id) was acknowledged twice") }
            since = world.now
            if Dice.happens(listener.run.profile.dozes) { doze() }
            honoured = (message["params"]?["notifications"]?["resourceSubscriptions"]?.elements ?? []).compactMap(
                \.text)
            if !honoured.allSatisfy(wanted.contains) { model.violate("listener \(id) is told of \(honoured)") }
            model.trace("a listener is told of % resources", honoured.count)
            model.note(honoured.isEmpty ? "listeners that cannot be told" : "listeners")
            if !honoured.isEmpty { watch() }
        case "notifications/resources/updated":
            let uri = message["params"]?["uri"]?.text ?? "nothing"
            if !honoured.contains(where: { uri == $0 || uri.hasPrefix("\($0)/") }) {
                model.violate("listener \(id) of \(honoured) was told of \(uri)")
            }
            if since == nil { model.violate("listener \(id) was told before it was acknowledged") }
            heard[uri] = world.now
            model.note("changes heard")
        default: model.violate("listener \(id) was told \(method)")
        }
    }

    /// How often it has dozed.
    private var dozes = 0

    /// Reads nothing for a while, a few times, while much changes.
    private func doze() {
        if dozes == 3 { return }
        dozes += 1
        world.after(Int64(Dice.number(1...20)) * second) { [weak self] in
            guard let self, isOpen else { return }
            isReading = false
            listener.run.storm(Dice.number(20...80), of: listener.caller)
            world.after(Int64(Dice.number(5...30)) * second) { [weak self] in
                guard let self else { return }
                awake = world.now
                isReading = true
                doze()
            }
        }
    }

    private var awake: Int64 = 0
    /// Since when nothing is subscribed on the server that is honoured.
    private var unsubscribed: [String: Int64] = [:]

    /// Where a session may end and nothing else fails, another one is subscribed in its place.
    private func lookAtSubscriptions() {
        for uri in honoured {
            if listener.run.isSubscribed(to: uri, for: listener.caller.credential) {
                unsubscribed[uri] = nil
                continue
            }
            let since = unsubscribed[uri] ?? world.now
            unsubscribed[uri] = since
            if world.now - since > 100 * second {
                return model.violate("listener \(id) of \(uri) is not subscribed for \((world.now - since) / second) s")
            }
        }
    }

    /// Where nothing can fail, each change is heard.
    private func watch() {
        guard [.calm, .breezy].contains(listener.run.profile.mood) else { return }
        world.after(10 * second) { [weak self] in
            guard let self, isOpen, let since else { return }
            lookAtSubscriptions()
            guard listener.run.profile.isCalm, isReading, awake < world.now - 20 * second else { return watch() }
            for uri in honoured {
                guard let change = model.changes[uri], change > since, change < world.now - 5 * second else { continue }
                if heard[uri, default: 0] >= change { continue }
                return model.violate("listener \(id) has not heard of \(uri) for \((world.now - change) / second) s")
            }
            watch()
        }
    }
}
